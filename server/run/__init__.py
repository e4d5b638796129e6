"""A run's folder: configuration, ledger, checkpoints, summary."""
