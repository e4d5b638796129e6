"""The final model at the sites, on an external cohort, and compared with a clinical grade."""
