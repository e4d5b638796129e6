"""What runs and studies found, as types: below the rules of what may be shown, and the files."""
