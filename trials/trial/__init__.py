"""One task becomes one record."""
