"""A winner trained for real: a recipe, a text and a shape become a model that is kept."""
