"""Where a running study stands: counted, kept in a file, shown on a terminal."""
