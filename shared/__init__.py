"""What the coordinator and the sites must agree on; imports neither of them."""
