"""A shape and blocks of tokens become a learning curve."""
