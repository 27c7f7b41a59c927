"""What only the network needs."""
