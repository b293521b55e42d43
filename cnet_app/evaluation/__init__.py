"""Evaluation of any folder of pictures: adherence, distances, tables, ranking statistics."""
