"""The data path of one site: from files and a table of outcomes to a cohort split by patient."""
