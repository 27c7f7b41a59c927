"""Whether a study can be run, and what it will cost, before it runs."""
