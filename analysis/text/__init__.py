"""Numbers and columns as people read them."""
