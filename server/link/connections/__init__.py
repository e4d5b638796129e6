"""The sites' port: connections accepted, limited, and answered."""
