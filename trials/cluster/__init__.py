"""Ray for the time of a study: a cluster that is joined, or one of our own on this machine."""
