"""A study of several classes or labels, where that differs from one of a finding."""
