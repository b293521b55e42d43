"""Procedural pictures with exact ground truth: training data, examples and test pictures."""

from __future__ import annotations

from cnet_app.embedded.world.clouds import clouded
from cnet_app.embedded.world.maps import control_images
from cnet_app.embedded.world.posters import create_poster
from cnet_app.embedded.world.sample import Sample, Thing
from cnet_app.embedded.world.scenes import create_scene

SCENES_IN_FIVE = 3


def create_sample(seed: int, size: int = 256) -> Sample:
    """Return a scene for three seeds in five, a poster for two; the same seed gives the same bytes."""
    return create_scene(seed, size) if seed % 5 < SCENES_IN_FIVE else create_poster(seed, size)


__all__ = ["Sample", "Thing", "clouded", "control_images", "create_poster", "create_sample", "create_scene"]
