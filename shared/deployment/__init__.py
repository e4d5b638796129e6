"""What coordinator and sites must agree on to find and trust each other."""
