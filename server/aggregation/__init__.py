"""From the sites' updates, taken as they arrive, to the round's new weights."""
