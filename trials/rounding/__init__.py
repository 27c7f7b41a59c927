"""How runtimes round: weights and activations as their products see them."""
