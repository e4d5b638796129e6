"""A finished run's model on single images: scores, likeness to the training images, explanation."""
