"""What the server and its runs are doing, for the commands that ask."""
