"""One tensor <-> bytes, a number format a module."""
