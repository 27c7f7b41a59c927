"""From text to token blocks: documents, splits, tokenizer, encoding; `trials.corpus` is the door."""
