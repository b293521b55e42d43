"""A picture on disk holds the request that made it, so that it can be made again.

PNG text chunks: `controlnet_studio`, the whole request as JSON; `parameters`, the text other tools show; and
`controlnet_studio_made`, on what it was made and whether it comes out the same again, as a JSON object of words.
A file appears under its name only when all of it is on the disk.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from cnet_app.registry.modes import mode
from cnet_app.request.generation import ControlUnit, GenerationRequest, Lora
from models.errors import InputError, SaveError
from models.local import SUFFIXES

CHUNK = "controlnet_studio"
MADE_CHUNK = "controlnet_studio_made"
NOTHING: Mapping[str, str] = MappingProxyType({})
UNFINISHED = ".part"
UNFINISHED_AGE = 3600.0
"""Seconds after which nobody can still be writing a file of that ending."""


def save_picture(
    directory: Path,
    image: NDArray[np.uint8],
    request: GenerationRequest,
    index: int,
    made: Mapping[str, str] = NOTHING,
) -> Path:
    """Writes picture `index` of the request, (H, W, 3) RGB, into the directory under a new name, and returns its path.

    Its recipe is the request for this picture alone; `made` says how it was made, and no remake needs it. Whatever happens
    while writing, no half picture bears a picture's name; raises SaveError where the disk is full or the folder cannot be
    written.
    """
    own = request.only_picture(index)
    data = _png(image, own, made)
    path = directory / f"{time.strftime('%Y-%m-%d_%H%M%S')}_seed{own.seed}_{secrets.token_hex(4)}.png"
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(directory)
        try:
            _write(unfinished, data)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync(directory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"The picture could not be saved in {directory} ({reason}); make room there or choose another folder."
        ) from error
    return path


def sweep_unfinished(directory: Path) -> None:
    """Removes what writers that were killed left behind; a file still being written is younger and stays."""
    for entry in directory.glob(f".*{UNFINISHED}"):
        with suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - entry.stat().st_mtime > UNFINISHED_AGE:
                entry.unlink()


def read_request(path: Path) -> GenerationRequest:
    """The request inside a picture of ours; InputError where there is none or it is not a valid one."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            text = picture.info.get(CHUNK)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check its name and folder.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path.name} cannot be read as a PNG; choose a picture that was made here.") from error
    if not isinstance(text, str):
        raise InputError(f"{path.name} holds no recipe; choose a picture that was made here and not saved again since.")
    try:
        return GenerationRequest.from_text(text)
    except InputError as error:
        raise InputError(f"The recipe in {path.name} is not valid: {error}") from error


def parameters_text(request: GenerationRequest) -> str:
    """The request as the text that AUTOMATIC1111's web UI writes and many tools read; maps are left out."""
    values = {
        "Steps": request.num_inference_steps,
        "Sampler": request.scheduler,
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        "Model": request.base,
        "RNG": "CPU",
        **_rare_values(request),
    }
    values |= {f"ControlNet {i}": _unit_text(unit, request.guess_mode) for i, unit in enumerate(request.units)}
    lines = [" ".join(filter(None, (request.prompt, *map(_lora_text, request.loras))))]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items()))
    return "\n".join(lines)


def _rare_values(request: GenerationRequest) -> dict[str, object]:
    """Settings that most pictures do without; they are named only where they say something."""
    example = request.ip_adapter
    values = {
        "VAE": request.vae,
        "Denoising strength": f"{request.strength:g}" if request.initial_image else None,
        "Eta DDIM": f"{request.eta:g}" if request.eta else None,
        "IP-Adapter": example.name if example else None,
        "IP-Adapter scale": f"{example.scale:g}" if example else None,
        "Residual interval": request.residual_interval if request.residual_interval > 1 else None,
        "Norm preserving": request.norm_preserving or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _lora_text(lora: Lora) -> str:
    """As prompts of that format have it: the file's name alone, without what would end it."""
    name = re.split(r"[/\\]", lora.name)[-1]
    stem = next((name.removesuffix(ending) for ending in SUFFIXES if name.endswith(ending)), name)
    return f"<lora:{re.sub('[<:>]', ' ', stem)}:{lora.scale:g}>"


def _unit_text(unit: ControlUnit, guess_mode: bool) -> str:
    values = {
        "Module": unit.annotator or "none",
        "Model": unit.controlnet or unit.condition,
        "Weight": f"{unit.conditioning_scale:g}",
        "Guidance Start": f"{unit.control_guidance_start:g}",
        "Guidance End": f"{unit.control_guidance_end:g}",
        "Control Mode": mode("control" if guess_mode else unit.control_mode).title,
    }
    # The format has no way to quote inside a unit.
    return ", ".join(f"{name}: {value.translate({44: ' ', 58: ' '})}" for name, value in values.items())


def _quoted(value: str) -> str:
    """As the format asks: quoted only where a comma, colon or line break would end the value."""
    return json.dumps(value, ensure_ascii=False) if set(value) & set(",:\n") else value


def _png(image: NDArray[np.uint8], request: GenerationRequest, made: Mapping[str, str]) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    # Plain ASCII and not compressed: Pillow reads compressed text only up to 1 MB, and the maps are PNGs already.
    chunks.add_text(CHUNK, json.dumps(request.to_json(), allow_nan=False))
    chunks.add_text("parameters", parameters_text(request))
    if made:
        chunks.add_text(MADE_CHUNK, json.dumps(dict(made)))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """On the disk, not only in the system's memory, when it returns."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Makes a new name in the directory last; systems without this have no need of it."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
