"""What the annotators with a network share: device, importing, reading weights, sizes. torch is imported on use."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Callable
from functools import _lru_cache_wrapper, lru_cache, wraps
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from annotators.base import Image
from models.catalog import entry
from models.errors import WeightsError
from models.weights import fetch

if TYPE_CHECKING:
    import torch

PACKAGE = "controlnet_aux"
SAFE = ".safetensors"
WRAPPERS = ("state_dict", "model", "depth_model")
"""Names under which trainings put their network into a checkpoint."""
LONGEST = 4
"""How many times the short side a network's long side may be."""
Network = TypeVar("Network")
# What torch, its zip and pickle readers, safetensors and transformers raise over damaged files.
LOADING_ERRORS = (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError)

_LOADERS: list[_lru_cache_wrapper[Any]] = []


def kept(load: Callable[..., Network]) -> Callable[..., Network]:
    """Decorates a network's loader: what it loaded last stays in memory until `release`, or until its files are others."""

    @lru_cache(maxsize=1)
    def loader(stamps: tuple[object, ...], *given: Any) -> Network:
        return load(*given)

    @wraps(load)
    def loaded(*given: Any) -> Network:
        return loader(tuple(_stamps(value) for value in given if isinstance(value, Path)), *given)

    _LOADERS.append(loader)
    return loaded


def _stamps(path: Path) -> tuple[object, ...]:
    """When the file, or those of the folder, were written, and how large they are."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def holding() -> int:
    """How many networks are in memory."""
    return sum(loader.cache_info().currsize for loader in _LOADERS)


def release() -> int:
    """Lets every network go, so that something else has the room; each is loaded again when it is next used. How many."""
    loaded = holding()
    for loader in _LOADERS:
        loader.cache_clear()
    return loaded


def device() -> str:
    """Where annotators run: the GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class LibraryError(WeightsError):
    """A package that an annotator runs on is not here, or cannot be imported."""


def library_error(name: str, error: Exception) -> LibraryError:
    """What is said of a package that cannot be imported."""
    return LibraryError(
        f"This annotator needs {name}, which cannot be imported here ({error}); run `pip install -r requirements.txt`."
    )


def aux_module(name: str) -> ModuleType:
    """`controlnet_aux.NAME` alone; LibraryError where it cannot be imported.

    The package's own __init__ imports every annotator it has, and one that fails takes all others with it; so the
    package is entered without running that.
    """
    try:
        if PACKAGE not in sys.modules:
            spec = find_spec(PACKAGE)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {PACKAGE!r}")
            sys.modules[PACKAGE] = module_from_spec(spec)
        with contextlib.redirect_stdout(sys.stderr):  # some of its modules print
            return import_module(f"{PACKAGE}.{name}")
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise library_error(f"{PACKAGE}.{name}", error) from error


def weights_file(id: str) -> Path:
    """The file of a catalogue row that has but one; downloaded if need be."""
    return fetch(id) / entry(id).files[0].name


def load_state(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, on the CPU; of a pickle nothing but tensors is read.

    A pickle is kept as safetensors beside it, and read from there the next time.
    """
    import torch
    from safetensors.torch import load_file

    kept_as = path.with_name(f"{path.name}{SAFE}")
    try:
        if path.suffix == SAFE:
            return load_file(path)
        if (state := _load_kept(kept_as, path)) is not None:
            return state
        state = torch.load(path, map_location="cpu", weights_only=True)
    except LOADING_ERRORS as error:
        raise WeightsError(
            f"{path.name} in {path.parent} is damaged ({type(error).__name__}); delete it and fetch it again."
        ) from error
    for wrapper in WRAPPERS:
        state = state.get(wrapper, state)
    state = dict(state)
    _keep(state, kept_as, path.stat().st_mtime_ns)
    return state


def _load_kept(path: Path, pickled: Path) -> dict[str, Any] | None:
    """None where it was not kept, or is damaged, or the pickle is another one by now."""
    from safetensors.torch import load_file

    try:
        return load_file(path) if path.stat().st_mtime_ns == pickled.stat().st_mtime_ns else None
    except LOADING_ERRORS:
        return None


def _keep(state: dict[str, Any], path: Path, dated: int) -> None:
    """Whole or not at all, with the pickle's date, in nanoseconds, so that another pickle is noticed; a folder that cannot be written to, or has no room, stays as it is."""
    from safetensors.torch import save_file

    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        try:
            save_file({name: value.contiguous().clone() for name, value in state.items()}, part)
            os.utime(part, ns=(dated, dated))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, SafetensorError):
        return


def load_into(
    network: torch.nn.Module, state: dict[str, Any], path: Path, channels_last: bool = True
) -> torch.nn.Module:
    """The network with these weights, ready to run; weights of another network are a WeightsError.

    `channels_last` lays numbers out as they come from a picture, which is faster for convolutions alone.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"{path.name} in {path.parent} holds another network's weights; delete it and fetch it again."
        ) from error
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(device()).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return network.eval().requires_grad_(False)


def to_batch(image: NDArray[Any]) -> torch.Tensor:
    """(H, W, 3) 0 to 255 → (1, 3, H, W) float of the same values, on the device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).float().permute(2, 0, 1)[None].to(device())


def size_for_network(image: Image, short_side: int, multiple: int) -> tuple[int, int]:
    """Height and width with this short side, proportions kept as well as multiples of `multiple` allow.

    Of a strip the long side, four times as much, is what counts.
    """
    scale = min(short_side / min(image.shape[:2]), LONGEST * short_side / max(image.shape[:2]))
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in image.shape[:2])
    return height, width


def resize_for_network(image: Image, short_side: int, multiple: int) -> Image:
    """The image in `size_for_network`."""
    height, width = size_for_network(image, short_side, multiple)
    method = cv2.INTER_AREA if short_side < min(image.shape[:2]) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def resize_to(values: NDArray[Any], image: Image) -> NDArray[Any]:
    """Float values (h, w) or (h, w, C) brought to the image's size."""
    height, width = image.shape[:2]
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)


def load_pretrained(kind: Any, folder: Path) -> tuple[Any, Any]:
    """Image processor and network of a folder in transformers layout; a damaged one is a WeightsError."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        network = kind.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise WeightsError(
            f"The network in {folder} cannot be loaded ({type(error).__name__}); delete it and fetch it again."
        ) from error
    return processor, network.to(device()).eval().requires_grad_(False)
