"""What runs a shape to time it; one file per runtime, one interface (`trials.latency`)."""
