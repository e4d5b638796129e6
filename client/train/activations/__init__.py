"""What a training step keeps from its forward to its backward pass, and in how many bits."""
