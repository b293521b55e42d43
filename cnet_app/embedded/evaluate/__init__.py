"""Evaluation of the embedded model and of the annotators."""
