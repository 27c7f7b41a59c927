"""A shape becomes measured milliseconds."""
