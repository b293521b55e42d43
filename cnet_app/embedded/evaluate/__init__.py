"""Measuring the embedded model: fidelity of every condition, obedience to the prompt, the judge itself."""
