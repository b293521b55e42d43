"""Everything the app says no with, in one tree.

    Exception
    ├── InputError               a user's mistake, one sentence            exit 2
    ├── WeightsError             weights not there, damaged, no network    exit 3
    └── StudioError              the rest that is told in a sentence       exit 1
        ├── OutOfMemoryError     the device is too small for the request
        ├── SaveError            a picture could not be written
        └── CancelledError       the user stopped the job

Anything else that is raised is our own fault (exit 1, with a traceback in the log).
"""

from __future__ import annotations

from annotators.base import InputError
from models.weights import WeightsError


class StudioError(Exception):
    """Told to the user as it is: one sentence, what happened and what to do."""


class OutOfMemoryError(StudioError):
    """The device is too small for the request."""


class SaveError(StudioError):
    """A picture could not be written."""


class CancelledError(StudioError):
    """The user stopped the job."""


TOLD = (InputError, WeightsError, StudioError)
"""What a user reads word for word."""


def exit_code(error: BaseException) -> int:
    """2 for a user's mistake, 3 where weights are missing, 1 for the rest."""
    if isinstance(error, InputError):
        return 2
    return 3 if isinstance(error, WeightsError) else 1


__all__ = [
    "TOLD",
    "CancelledError",
    "InputError",
    "OutOfMemoryError",
    "SaveError",
    "StudioError",
    "WeightsError",
    "exit_code",
]
