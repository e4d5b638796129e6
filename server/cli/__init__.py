"""The coordinator's commands, one a file."""
