"""The sites as the coordinator sees them: who takes part, what is asked, what is answered."""
