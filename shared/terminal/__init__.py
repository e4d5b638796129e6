"""The command line, its text and its logs."""
