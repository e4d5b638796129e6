"""What the frozen stages make of each image: computed once, kept on disk, trained from."""
