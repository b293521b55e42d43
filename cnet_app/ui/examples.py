"""The pictures behind "Try the example": photos that scikit-image brings, and procedural scenes. No file of our own."""

from __future__ import annotations

from functools import lru_cache

from annotators.base import Image
from cnet_app.registry.conditions import Condition

SCENE_SIZE = 256


def example_image(row: Condition) -> Image:
    """(H, W, 3) RGB."""
    return _load(row.example)


@lru_cache(maxsize=16)
def _load(source: str) -> Image:
    kind, _, seed = source.partition(":")
    if kind == "world":
        from cnet_app.embedded.world import create_scene

        return create_scene(int(seed), SCENE_SIZE).image
    from skimage import data

    photo = getattr(data, source)()
    return photo[0] if isinstance(photo, tuple) else photo  # the left one of a stereo pair
