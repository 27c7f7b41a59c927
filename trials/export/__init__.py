"""A finished trial as files that other tools load; one file per format."""
