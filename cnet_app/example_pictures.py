"""The pictures of the page's first view: photo, map and result of some examples. `python -m cnet_app.example_pictures` remakes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from PIL import Image as Pillow

from annotators.base import Image
from annotators.sources.images import resize
from cnet_app.engine.maps import maps_through
from cnet_app.engine.protocol import PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.maps.annotate import Maps, build_unit
from cnet_app.maps.availability import default_annotator
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from cnet_app.ui.bases import EMBEDDED, defaults_of
from cnet_app.ui.examples import FIRST_VIEW, example_image, is_drawing
from cnet_app.ui.studio import WEB

SIDE = 256
SAVED = 168
"""Side of a saved picture in px."""
SEED = 2


def write_example_pictures(folder: Path) -> list[Path]:
    """Write photo, map and result of every shown example as WebP, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = TorchEngine(Settings(base=EMBEDDED, device="cpu", offline=True))
    paths: list[Path] = []
    for id in FIRST_VIEW:
        for part, pixels in _pictures(id, engine):
            path = folder / f"{id}-{part}.webp"
            Pillow.fromarray(resize(pixels, SAVED, SAVED)).save(path, "WEBP", quality=80, method=6)
            paths.append(path)
    return paths


def _pictures(id: str, engine: TorchEngine) -> Iterator[tuple[str, Image]]:
    row, maps = condition(id), Maps(maps_through(engine))
    photo = resize(example_image(row), SIDE, SIDE)
    drawing = is_drawing(row)
    made = maps.annotate(
        id, None if drawing else default_annotator(id), 255 - photo if drawing else photo, None, SIDE, SIDE
    )
    yield "photo", photo
    yield "map", made.pixels
    defaults = {name: value for name, value in asdict(defaults_of(EMBEDDED)).items() if name != "size"}
    request = GenerationRequest(
        prompt=row.example_prompt, units=(build_unit(id, made),), width=SIDE, height=SIDE, seed=SEED, **defaults
    )
    yield from (("picture", event.pixels) for event in engine.run(request) if isinstance(event, PictureMade))


if __name__ == "__main__":
    print(*write_example_pictures(WEB / "examples"), sep="\n")
