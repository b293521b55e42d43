"""Files and scores of a recipe, and reading of several recipes at once."""
