"""Counts of outcomes with several classes or labels, and the metrics that follow from them."""
