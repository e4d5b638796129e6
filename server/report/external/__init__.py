"""The page of an evaluation on other cohorts."""
