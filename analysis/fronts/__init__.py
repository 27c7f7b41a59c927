"""Which shapes stand on the front, and how sure that is."""
