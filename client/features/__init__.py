"""The frozen stages' activations of each image: computed once, kept on disk, trained from."""
