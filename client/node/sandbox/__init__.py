"""What the code of an approved bundle can reach of the site's machine."""
