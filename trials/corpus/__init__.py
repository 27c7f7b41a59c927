"""Text becomes a tokenizer and blocks of tokens."""
