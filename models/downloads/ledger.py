"""Small JSON files in the folder of the user's models, written whole or not at all. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from models.catalogue.places import own_folder
from models.errors import WeightsError
from models.files import short


def read_ledger(name: str) -> dict[str, Any]:
    """Return the content, empty where there is no file. WeightsError where it is no JSON object."""
    try:
        content = json.loads((own_folder() / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(name) from error
    if not isinstance(content, dict):
        raise unreadable(name)
    return content


def write_ledger(name: str, content: Mapping[str, Any]) -> None:
    """Replace the file in one step; WeightsError where the folder cannot be written to."""
    folder = own_folder()
    draft = folder / f".{name}.{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            draft.replace(folder / name)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(
            f"{name} cannot be written in {short(folder)} ({error.strerror}); "
            "point CNET_MODELS_DIR to a folder that can be written to."
        ) from error


def unreadable(name: str) -> WeightsError:
    return WeightsError(
        f"{name} in {short(own_folder())} cannot be read; repair it, or delete it to start with an empty one."
    )
