"""The noise of a seed and the correlation of ranks; knows no record."""
