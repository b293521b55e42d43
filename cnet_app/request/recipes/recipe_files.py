"""The request of a file: a picture that was made here, or JSON as `task_to_json` writes it. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_recipe
from cnet_app.request.tasks import task_from_text
from models.errors import InputError

MAX_BYTES = 100_000_000
JSON = ".json"


def read_request_file(path: Path) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Return a request and notes on local model files that have changed since it was written. Raises InputError."""
    if path.suffix.lower() != JSON:
        recipe = read_recipe(path)
        return recipe.request, recipe.changed_files
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its name and folder.") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path.name} is larger than {MAX_BYTES / 1e6:g} MB; give the JSON of one request.")
    try:
        task = task_from_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not text in UTF-8; save it as UTF-8.") from error
    except InputError as error:
        raise InputError(f"{path.name} is not valid: {error}") from error
    if not isinstance(task, GenerationRequest):
        raise InputError(f"{path.name} is a request of kind {task.kind}, which makes no picture by itself.")
    return task, ()
