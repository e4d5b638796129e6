"""A run from its configuration to its final model: rounds, the model, rounds undone."""
