"""Drawn pairs of pictures and maps, and the faults that are seeded in them."""
