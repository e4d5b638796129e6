"""Logs that show whether anybody changed them, and their way to another machine."""
