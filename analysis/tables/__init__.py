"""Tables that people bring: what is in their cells, and which column means what."""
