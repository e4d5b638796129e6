"""A table of outcomes as hospitals have it, read into lines of cells or refused with its line."""
