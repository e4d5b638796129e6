"""The final model at the sites, on an external cohort, and beside a clinical grade."""
