"""Networks in ONNX files, run by onnxruntime, which is imported on use."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotators.networks import library_error
from models.errors import WeightsError

LOG = logging.getLogger(__name__)
GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def load_session(path: Path) -> Any:
    """An onnxruntime session, on the GPU if onnxruntime can use one; a damaged file is a WeightsError."""
    runtime = _runtime()
    providers = [GPU, CPU] if GPU in runtime.get_available_providers() else [CPU]
    try:
        session = runtime.InferenceSession(str(path), providers=providers)
    except _errors() as error:
        raise WeightsError(
            f"{path.name} in {path.parent} is damaged ({type(error).__name__}); delete it and fetch it again."
        ) from error
    if providers[0] not in session.get_providers():
        LOG.warning("%s runs on the CPU, for onnxruntime could not use the GPU.", path.name)
    return session


def run(session: Any, path: Path, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The outputs for the one input; a network that takes no such input is a WeightsError that names its file."""
    try:
        return session.run(None, {session.get_inputs()[0].name: values})
    except _errors() as error:
        raise other_network(path) from error


def other_network(path: Path) -> WeightsError:
    """For a file that can be read, but is not the one it should be."""
    return WeightsError(f"{path.name} in {path.parent} holds another network; delete it and fetch it again.")


def _runtime() -> Any:
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise library_error("onnxruntime", error) from error
    return onnxruntime


def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises over files and inputs; its errors have no class in common."""
    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
