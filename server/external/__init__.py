"""An evaluation on other cohorts: performance, subgroups, and the folder that it leaves."""
