"""Trainings of the embedded model's networks, and their losses and scores."""
