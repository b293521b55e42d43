"""Files that users drop into a folder for their kind, such as models/loras: found anew whenever asked. Loads no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from models.local import SUFFIXES
from models.weights import HERE


def dropped_files(kind: Literal["loras", "embeddings"]) -> dict[str, Path]:
    """By name, in models/KIND and `$CNET_MODELS_DIR/KIND`; of two with one name the second."""
    given = os.environ.get("CNET_MODELS_DIR")
    folders = [HERE / kind, *([Path(given) / kind] if given else [])]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    return {path.name: path for path in files if path.suffix in SUFFIXES and path.is_file()}
