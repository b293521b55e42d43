"""Data sets: reading, building, checking and caching pairs of pictures and maps. Loads no torch, but for the cache."""
