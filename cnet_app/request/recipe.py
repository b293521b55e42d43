"""A picture on disk holds the request that made it, so that it can be made again.

PNG text chunks: `controlnet_studio`, the whole request as JSON; `parameters`, the text other tools show;
`controlnet_studio_made`, a JSON object of facts about how it was made, with `files`, the sha256 of local model files;
`controlnet_studio_scores`, a list of how well it followed each unit, where that was measured; and XMP that marks the
picture as made by a model.
A file appears under its name only when all of it is on the disk.
"""

from __future__ import annotations

import dataclasses
import io
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from annotators.sources.picture_files import readable_name
from cnet_app.request.generation import DEFAULT_SCHEDULER, GenerationRequest
from cnet_app.request.png.chunks import with_text
from cnet_app.request.png.label import XMP_CHUNK, source_packet
from cnet_app.request.png.parameters import parameters_text
from cnet_app.request.recipes.files import file_hashes
from cnet_app.request.recipes.scores import UnitScore, scores_from_json
from cnet_app.request.tasks import task_from_text, task_to_json
from models.downloads.whole import sweep_unfinished, write_whole
from models.errors import InputError, SaveError

CHUNK = "controlnet_studio"
MADE_CHUNK = "controlnet_studio_made"
SCORES_CHUNK = "controlnet_studio_scores"
FILES = "files"
"""The one fact that is an object."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Recipe:
    """The metadata of a picture."""

    request: GenerationRequest
    made: Mapping[str, str]
    """Facts about how it was made: device, number format, versions; no remake needs them."""
    files: Mapping[str, str]
    """The sha256 of local model files, by title and name as `cnet_app.request.recipes.files.file_hashes` gives them."""
    scores: tuple[UnitScore, ...] = ()
    """One a unit of the request, where the picture was measured; no remake needs them."""

    @property
    def changed_files(self) -> tuple[str, ...]:
        """A warning for each local file that is here under the same name, but with other content."""
        here = file_hashes(self.request, among=self.files)
        changed = [key for key, digest in self.files.items() if here.get(key, digest) != digest]
        return tuple(
            f"{key} is not the file that this picture was made with (its content differs): the picture will be another one."
            for key in changed
        )


def save_picture(
    directory: Path,
    image: NDArray[np.uint8],
    request: GenerationRequest,
    index: int,
    made: Mapping[str, str] = NOTHING,
    label: bool = True,
) -> Path:
    """Write picture `index` of the request, (H, W, 3) RGB, into the directory under a new name, and return its path.

    Its recipe is the request for this picture alone, with the sampler `made["scheduler"]` in the place of the default.
    `made` are the facts of the engine; `label` marks the picture as made by a model. A failed or killed write leaves no half picture under a picture's name; raises
    SaveError where the disk is full or the folder cannot be written.
    """
    own = request.only_picture(index)
    if own.scheduler == DEFAULT_SCHEDULER and made.get("scheduler"):
        own = dataclasses.replace(own, scheduler=made["scheduler"])
    data = _png(image, own, made, label)
    path = directory / f"{time.strftime('%Y-%m-%d_%H%M%S')}_seed{own.seed}_{secrets.token_hex(4)}.png"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(directory)
        write_whole(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"The picture could not be saved in {directory} ({reason}); make room there or choose another folder."
        ) from error
    return path


def write_scores(path: Path, scores: Sequence[UnitScore]) -> None:
    """Write scores into a picture made here, in the place of earlier ones; pixels, other chunks and file times stay.

    The file is replaced whole: a failed or killed write leaves it as it was. Raises InputError where it is no PNG, or is
    gone, and SaveError where it cannot be written.
    """
    try:
        times = path.stat()
        data = with_text(path.read_bytes(), SCORES_CHUNK, json.dumps([score.to_json() for score in scores]))
        write_whole(path, data, (times.st_atime_ns, times.st_mtime_ns))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check its name and folder.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(f"The scores could not be written into {path} ({reason}); make room there.") from error


def read_request(path: Path) -> GenerationRequest:
    """The request inside a picture made here; InputError where there is none or it is not a valid one."""
    return read_recipe(path).request


def read_recipe(path: Path) -> Recipe:
    """The recipe inside a picture made here, by an earlier version too; InputError as `read_request`."""
    name = readable_name(path.name)
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            text, made, scores = (picture.info.get(key) for key in (CHUNK, MADE_CHUNK, SCORES_CHUNK))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}; check its name and folder.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be read as a PNG; choose a picture that was made here.") from error
    if not isinstance(text, str):
        raise InputError(f"{name} holds no recipe; choose a picture that was made here and not saved again since.")
    try:
        task = task_from_text(text)
    except InputError as error:
        raise InputError(f"The recipe in {name} is not valid: {error}") from error
    if not isinstance(task, GenerationRequest):
        raise InputError(f"The recipe in {name} is of kind {task.kind}, which makes no picture by itself.")
    facts = _read_facts(made)
    return Recipe(task, _words(facts), _words(facts.get(FILES)), _read_scores(scores, task))


def _read_scores(text: object, request: GenerationRequest) -> tuple[UnitScore, ...]:
    """Nothing where they are absent, damaged or of other units: the picture can be measured again."""
    try:
        scores = scores_from_json(json.loads(text)) if isinstance(text, str) else ()
    except (ValueError, RecursionError):
        return ()
    own = [score.condition for score in scores] == [unit.condition for unit in request.units]
    return scores if own else ()


def _read_facts(text: object) -> Mapping[str, object]:
    """Nothing where they are absent or damaged: no remake needs them."""
    try:
        facts = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        facts = None
    return cast("dict[str, object]", facts) if isinstance(facts, dict) else {}


def _words(values: object) -> Mapping[str, str]:
    known = cast("dict[str, object]", values) if isinstance(values, dict) else {}
    return MappingProxyType({name: value for name, value in known.items() if isinstance(value, str)})


def _png(image: NDArray[np.uint8], request: GenerationRequest, made: Mapping[str, str], label: bool) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    # Plain ASCII and not compressed: Pillow reads compressed text only up to 1 MB, and the maps are PNGs already.
    chunks.add_text(CHUNK, json.dumps(task_to_json(request), allow_nan=False))
    files = file_hashes(request)
    chunks.add_text("parameters", parameters_text(request, files, made.get("scheduler_class", "")))
    if label:
        composite = request.initial_image is not None
        packet = source_packet("compositeWithTrainedAlgorithmicMedia" if composite else "trainedAlgorithmicMedia")
        chunks.add_itxt(XMP_CHUNK, packet)
    if facts := {**made, **({FILES: files} if files else {})}:
        chunks.add_text(MADE_CHUNK, json.dumps(facts))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()
