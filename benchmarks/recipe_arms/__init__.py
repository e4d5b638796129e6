"""The arms of the recipe benchmark, each trained in processes of its own."""
