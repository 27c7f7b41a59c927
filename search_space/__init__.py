"""Ground floor: what a shape is and what it costs. Standard library only."""
