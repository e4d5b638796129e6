"""A grid of arms over repeated cross-validation inside the federation."""
