"""A shape's predicted time on a device."""
