"""Networks in ONNX files, run by onnxruntime, which is imported on use."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotators.networks.loading import check_memory, damaged_error, library_error
from models.errors import DamagedError

LOG = logging.getLogger(__name__)
GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def load_session(device: str, path: Path, threads: int = 0) -> Any:
    """Return an onnxruntime session, on a CUDA device where onnxruntime can use it, else on the CPU with a warning in the log.

    `threads` on the CPU; 0 is one for each core. A damaged file is a DamagedError.
    """
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    chosen = providers(device, runtime.get_available_providers())
    try:
        session = runtime.InferenceSession(str(path), options, providers=chosen)
    except _errors() as error:
        raise damaged_error(path, error) from error
    if device != "cpu" and GPU not in session.get_providers():
        LOG.warning("%s runs on the CPU, because onnxruntime cannot use %s.", path.name, device)
    return session


def providers(device: str, available: list[str]) -> list[Any]:
    """Return onnxruntime's providers for a device: `cuda:1` is CUDA's with that number, everything else the CPU's."""
    device_type, _, number = device.partition(":")
    on_gpu = device_type == "cuda" and GPU in available
    return [(GPU, {"device_id": int(number or 0)}), CPU] if on_gpu else [CPU]


def run(session: Any, path: Path, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the outputs for the one input.

    A network that takes no such input is a DamagedError that names its file. Too little memory is an OutOfMemoryError, as
    onnxruntime has no class for it.
    """
    try:
        return session.run(None, {session.get_inputs()[0].name: values})
    except _errors() as error:
        check_memory(path, error)
        raise other_network(path) from error


def other_network(path: Path) -> DamagedError:
    """Return the error for a file that holds a network, but another one."""
    return DamagedError(f"{path.name} in {path.parent} holds another network; delete it and download it again.")


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise library_error("onnxruntime", error) from error
    return onnxruntime


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that onnxruntime raises for files and inputs; they have no class in common."""
    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(error for error in vars(state).values() if isinstance(error, type) and issubclass(error, Exception))
