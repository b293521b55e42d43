"""Every error that is shown to the user as it is: one sentence that names what was given, what is allowed and what to do.

    Exception
    ├── InputError                a mistake in what was given                  exit 2
    ├── WeightsError              files are missing, damaged or unreachable    exit 3
    │   ├── MissingError
    │   ├── DamagedError
    │   ├── DownloadError
    │   └── LibraryError
    └── StudioError               everything else                              exit 1
        ├── OutOfMemoryError      the request does not fit into the memory
        ├── SaveError             a file could not be written
        ├── TrainingError         a training cannot go on
        ├── EngineError           the process that runs the models ended
        └── CancelledError        the user stopped the task

Any other exception is a fault of this project: exit 1, with a traceback in the log. Loads nothing.
"""

from __future__ import annotations

import re


class InputError(ValueError):
    """A mistake in what was given."""


class WeightsError(RuntimeError):
    """Files of a model are missing, damaged or unreachable; the message names them, their size and their place."""


class MissingError(WeightsError):
    """The files are not on this disk, and may not or cannot be downloaded now."""


class DamagedError(WeightsError):
    """The files are on this disk, but cut off or changed."""


class DownloadError(WeightsError):
    """The download failed: no network, no permission, not on the hub, or no room on the disk."""


class LibraryError(WeightsError):
    """A package that the network needs is not installed, or cannot be imported."""


class StudioError(Exception):
    """Base class of the errors that are neither an InputError nor a WeightsError."""


class OutOfMemoryError(StudioError):
    """The request does not fit into the memory of the device."""


class SaveError(StudioError):
    """A file could not be written."""


class TrainingError(StudioError):
    """A training cannot go on: its loss, gradient or weights are not finite."""


class EngineError(StudioError):
    """The process that runs the models ended, or failed by a fault of its own."""


class CancelledError(StudioError):
    """The user stopped the task."""


_OUT_OF_MEMORY = re.compile(
    r"out of memory"  # CUDA, MPS ("MPS backend out of memory"), ROCm, onnxruntime's CUDA arena
    r"|allocate memory|not enough memory"  # torch's CPU allocator on Linux and Windows, onnxruntime
    r"|bad_alloc|bad allocation"  # C++
    r"|ALLOC_FAILED"  # cuBLAS and cuDNN
    r"|Insufficient memory|Failed to allocate \d+ bytes"  # OpenCV
    r"|Invalid buffer size|Tried to allocate",  # MPS
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of this project, Python, torch, onnxruntime or OpenCV means that memory ran out.

    Only Python and CUDA in torch have a class for it; the others have a message.
    """
    if isinstance(error, OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, Exception) and bool(_OUT_OF_MEMORY.search(str(error)))


USER_ERRORS = (InputError, WeightsError, StudioError)
"""Errors whose message is shown word for word."""


def exit_code(error: BaseException) -> int:
    """Return 2 for an InputError, 3 for a WeightsError, 1 for everything else."""
    if isinstance(error, InputError):
        return 2
    return 3 if isinstance(error, WeightsError) else 1
