"""Named tensors as they travel."""
