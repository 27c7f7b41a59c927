"""A task's questions become log-likelihoods of their options."""
