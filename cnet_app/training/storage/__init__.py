"""Folders, checkpoints and exports of a training."""
