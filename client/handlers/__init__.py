"""What a site does with each message; Flower's own types stay in app.py."""
