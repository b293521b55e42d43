"""Estimate of a training's memory and time, and advice where memory runs out."""
