"""The numeric core of the sampler and of early stopping."""
