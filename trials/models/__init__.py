"""A model from elsewhere, or of a study, becomes our network with its tokenizer."""
