"""What a person sees on the terminal: progress, and the result as a table."""
