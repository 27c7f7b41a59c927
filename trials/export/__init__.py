"""A winner becomes verified files."""
