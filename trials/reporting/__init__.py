"""A directory becomes a report."""
