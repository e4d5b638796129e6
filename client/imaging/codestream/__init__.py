"""Compressed images: what their own headers say, decoded only where all of the picture is there."""
