"""Layouts of files: from tensors under the names of any program to the config and state of a network."""
