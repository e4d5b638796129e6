"""A run as both sides know it: its code, its events, its finished folder."""
