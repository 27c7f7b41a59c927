"""Top floor: one shape becomes one record; many become a study."""
