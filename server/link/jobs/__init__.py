"""Submitted runs and the process that runs each."""
