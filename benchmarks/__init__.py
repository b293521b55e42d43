"""Our pipeline against diffusers' own, in one run on the same weights. A measurement is a row of pipeline/arms.py."""
