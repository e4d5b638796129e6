"""The sections of a run's page that differ where it has several classes or labels."""
