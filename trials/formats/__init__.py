"""One writer a file format: a shape and its weights become a file."""
