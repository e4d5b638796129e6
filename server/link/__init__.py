"""The coordinator's process: who may connect, what it serves, and its folder."""
