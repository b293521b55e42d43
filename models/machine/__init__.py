"""Devices, the memory that networks take there, and the ways to run in less."""
