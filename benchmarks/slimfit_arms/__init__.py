"""SlimFit on a vision transformer: the base, the pictures, the rounds, the comparison."""
