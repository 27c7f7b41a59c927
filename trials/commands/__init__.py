"""The verbs of the command line: each loads, calls, prints."""
