"""A trained shape becomes verified files."""
