"""Weights that are known: rows, files and repositories of the user, where they lie, and what a name stands for."""
