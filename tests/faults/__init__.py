"""Faults of the world around the app: disks, folders, databases, clocks, signals."""
