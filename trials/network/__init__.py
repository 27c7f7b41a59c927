"""The decoder and its stored weights."""
