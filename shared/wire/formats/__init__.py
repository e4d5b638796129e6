"""One tensor <-> bytes, a dtype a module."""
