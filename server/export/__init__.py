"""The final model as a file, here and in the formats of other programs."""
