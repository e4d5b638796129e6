"""Compressed images: what their own headers say, decoded only where all of the image is there."""
