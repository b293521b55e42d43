"""Checks of requests beyond numbers: known ids, and what a family refuses."""
