"""Files as this program writes and reads them."""
