"""What Flower's SuperLink keeps in memory."""
