"""Trainings and work on their data, in processes of their own."""
