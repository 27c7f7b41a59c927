"""What one trial left behind, the only state: the record and its parts, JSON lines, replicates, health checks."""
