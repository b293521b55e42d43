"""Probes, curves, sudden convergence and overfitting of a training."""
