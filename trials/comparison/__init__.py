"""Models, rounded and pruned, held against each other on the same text and the same questions."""
