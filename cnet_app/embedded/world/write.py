"""Write the world to disk: pictures, control images and captions."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image as PillowImage

from cnet_app.embedded.world import control_images, create_sample
from cnet_app.embedded.world.sample import Sample


def write_world(seed: int, count: int, output: Path, size: int = 256) -> list[Path]:
    """Write the pictures of seeds `seed` to `seed + count - 1` into the folder `output`, which is created where it is missing.

    A picture is NAME.png with NAME its seed, its control images are NAME.CONDITION.png, and captions.jsonl has a line
    for each. Returns the pictures' paths.
    """
    output.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    with (output / "captions.jsonl").open("w", encoding="utf-8") as captions:
        for number in range(seed, seed + count):
            sample = create_sample(number, size)
            picture = output / f"{number:08d}.png"
            PillowImage.fromarray(sample.image).save(picture)
            maps = control_images(sample)
            for condition, control_image in maps.items():
                PillowImage.fromarray(control_image).save(picture.with_suffix(f".{condition}.png"))
            captions.write(json.dumps(_line(number, picture, sample, list(maps))) + "\n")
            pictures.append(picture)
    return pictures


def _line(seed: int, picture: Path, sample: Sample, conditions: list[str]) -> dict[str, object]:
    return {
        "file": picture.name,
        "seed": seed,
        "caption": sample.caption,
        "style": sample.style,
        "sky": sample.sky,
        "palette": sample.palette,
        "things": [{"shape": thing.shape, "colour": thing.colour} for thing in sample.things],
        "conditions": conditions,
    }
