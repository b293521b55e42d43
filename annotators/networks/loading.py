"""Helpers of the annotators with a network: importing libraries, reading weights, sizes of inputs. torch is imported on use."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from annotators.base import Image
from models.catalogue.catalog import entry
from models.catalogue.weights import require
from models.downloads.whole import unfinished
from models.errors import DamagedError, LibraryError, OutOfMemoryError, is_out_of_memory

if TYPE_CHECKING:
    import torch

PACKAGE = "controlnet_aux"
SAFE = ".safetensors"
WRAPPERS = ("state_dict", "model", "depth_model")
"""Names under which trainings put their network into a checkpoint."""
LONGEST = 4
"""Limit of a network input's long side, in short sides."""
LOADING_ERRORS = (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError)
"""Raised by torch, its zip and pickle readers, safetensors and transformers for damaged files."""


def library_error(name: str, error: Exception) -> LibraryError:
    """Return the error for a package that cannot be imported."""
    return LibraryError(
        f"This annotator needs {name}, which cannot be imported here ({error}); run `pip install -r requirements.txt`."
    )


def aux_module(name: str) -> ModuleType:
    """Import `controlnet_aux.NAME` alone. Raises LibraryError.

    The package's own __init__ imports all of its annotators, and one that fails makes all others fail; so that __init__ is
    not run.
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


def weights_folder(id: str) -> Path:
    """Return the folder with the files of a catalogue row, which are never downloaded here.

    Raises MissingError, which names the command that downloads them, or DamagedError.
    """
    return require(id)


def weights_file(id: str) -> Path:
    """Return the file of a catalogue row that has one file."""
    return weights_folder(id) / entry(id).files[0].name


def load_state(path: Path) -> dict[str, Any]:
    """Return the tensors of a checkpoint, on the CPU; from a pickle nothing but tensors is read.

    A copy of a pickle is saved next to it as safetensors, and is read the next time.
    """
    import torch
    from safetensors.torch import load_file

    copy = path.with_name(f"{path.name}{SAFE}")
    try:
        if path.suffix == SAFE:
            return load_file(path)
        if (state := _load_copy(copy, path)) is not None:
            return state
        state = torch.load(path, map_location="cpu", weights_only=True)
    except LOADING_ERRORS as error:
        raise damaged_error(path, error) from error
    for wrapper in WRAPPERS:
        state = state.get(wrapper, state)
    state = dict(state)
    _save_copy(state, copy, path.stat().st_mtime_ns)
    return state


def check_memory(path: Path, error: Exception) -> None:
    """Raise OutOfMemoryError where a library's exception means that the memory is too small, not that a file is damaged."""
    if is_out_of_memory(error):
        raise OutOfMemoryError(
            f"The memory is too small for {path.name}; unload models, or choose a smaller annotator or detect resolution."
        ) from error


def damaged_error(path: Path, error: Exception) -> DamagedError:
    """Return the error for a file that cannot be read as weights. Raises OutOfMemoryError where that is the reason."""
    check_memory(path, error)
    return DamagedError(
        f"{path.name} in {path.parent} is damaged ({type(error).__name__}); delete it and download it again."
    )


def _load_copy(copy: Path, pickled: Path) -> dict[str, Any] | None:
    """Return the tensors; None where the copy is missing, damaged, or one of another pickle."""
    from safetensors.torch import load_file

    try:
        return load_file(copy) if copy.stat().st_mtime_ns == pickled.stat().st_mtime_ns else None
    except LOADING_ERRORS:
        return None


def _save_copy(state: dict[str, Any], copy: Path, date: int) -> None:
    """Save the tensors with the pickle's date in ns, which shows whether the pickle was replaced.

    The file appears whole or not at all. A folder without write permission or room is left as it is.
    """
    from safetensors.torch import save_file

    try:
        with unfinished(copy, lasting=False) as part:
            save_file({name: value.contiguous().clone() for name, value in state.items()}, part)
            os.utime(part, ns=(date, date))
    except (OSError, SafetensorError):
        return


def load_into(
    network: torch.nn.Module, state: dict[str, Any], path: Path, device: str, channels_last: bool = True
) -> torch.nn.Module:
    """Return the network with these weights on the device, ready to run. Weights of another network are a DamagedError.

    `channels_last` stores values in a picture's order, which is faster for convolutions only.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        check_memory(path, error)
        raise DamagedError(
            f"{path.name} in {path.parent} holds another network's weights; delete it and download it again."
        ) from error
    import torch

    check_finite(network, path)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(device).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return network.eval().requires_grad_(False)


def check_finite(network: torch.nn.Module, path: Path) -> None:
    """Raise DamagedError where a weight is NaN or infinite: the maps would be black, or noise."""
    import torch

    if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
        raise DamagedError(
            f"{path.name} in {path.parent} holds numbers that are not finite; delete it and download it again."
        )


def damaged_folder(folder: Path, error: Exception) -> DamagedError:
    """Return the error for a folder that transformers cannot load. Raises OutOfMemoryError where that is the reason."""
    check_memory(folder, error)
    return DamagedError(
        f"The network in {folder} cannot be loaded ({type(error).__name__}); delete it and download it again."
    )


def load_pretrained(network_class: Any, folder: Path, device: str) -> tuple[Any, Any]:
    """Return image processor and network of a folder in transformers layout; a damaged one is a DamagedError."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        network = network_class.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise damaged_folder(folder, error) from error
    check_finite(network, folder)
    return processor, network.to(device).eval().requires_grad_(False)


def to_batch(image: NDArray[Any], device: str) -> torch.Tensor:
    """(H, W, 3) 0 to 255 → (1, 3, H, W) float of the same values, on the device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).float().permute(2, 0, 1)[None].to(device)


def size_for_network(image: Image, short_side: int, multiple: int) -> tuple[int, int]:
    """Return height and width with this short side and nearly the same proportions, both multiples of `multiple`.

    The long side is at most LONGEST times `short_side`, so a strip gets a smaller short side.
    """
    scale = min(short_side / min(image.shape[:2]), LONGEST * short_side / max(image.shape[:2]))
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in image.shape[:2])
    return height, width


def resize_for_network(image: Image, short_side: int, multiple: int) -> Image:
    """Return the image at its `size_for_network`."""
    height, width = size_for_network(image, short_side, multiple)
    method = cv2.INTER_AREA if short_side < min(image.shape[:2]) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def resize_to(values: NDArray[Any], image: Image) -> NDArray[Any]:
    """Return float values (h, w) or (h, w, C) at the image's size."""
    height, width = image.shape[:2]
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
