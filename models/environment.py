"""The environment variables that models/ and annotators/ obey; the only module of both that reads the environment.

These folders stand below cnet_app and cannot import its settings, so this is the seam between them: whoever starts the
app (app.py, the command line) sets the variables, and every function here reads them when it is called. Loads nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

ON = ("1", "on", "yes", "true")
"""Values that switch a variable on, in any case."""


def models_folder() -> Path | None:
    """Return the user's folder of models, `CNET_MODELS_DIR`; None where the variable is not set."""
    folder = os.environ.get("CNET_MODELS_DIR")
    return Path(folder) if folder else None


def is_public() -> bool:
    """Return whether `CNET_PUBLIC` says that visitors are strangers: links then lead no further than the folders of models."""
    return os.environ.get("CNET_PUBLIC", "").lower() in ON


def is_offline() -> bool:
    """Return whether `CNET_OFFLINE` or `HF_HUB_OFFLINE` forbids the network."""
    return any(os.environ.get(name, "").lower() in ON for name in ("CNET_OFFLINE", "HF_HUB_OFFLINE"))
