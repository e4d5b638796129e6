"""What a site computes with: its device, the dtype of its arithmetic, the base, frozen stages."""
