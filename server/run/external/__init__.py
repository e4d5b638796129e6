"""The folder that an evaluation on other cohorts leaves."""
