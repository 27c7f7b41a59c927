"""The machine under a study: memory, processors, the lock for quiet, child processes."""
