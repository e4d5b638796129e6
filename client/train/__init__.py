"""Training and evaluating at one site."""
