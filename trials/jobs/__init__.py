"""Studies as jobs of a Ray cluster: shipped, looked at, fetched."""
