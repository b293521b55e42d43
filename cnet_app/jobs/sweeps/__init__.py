"""Sweeps: many pictures by one plan, as grids and batches, each remembered in a manifest."""
