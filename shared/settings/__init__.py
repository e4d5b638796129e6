"""A run's settings: read once, checked, and what follows from them for each round."""
