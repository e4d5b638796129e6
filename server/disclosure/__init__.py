"""What of a run's results may be shown: every rule of it, and the one way to the files.

Results are computed exactly, in memory. What is written or said for others passes through this
room first and leaves it as `Shown`, which is all that the writers take.
"""
