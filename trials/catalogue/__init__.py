"""What files and engines can hold: names, precisions, refusals. Standard library only."""
