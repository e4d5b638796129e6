"""The page's sections: each takes the report and gives HTML."""
