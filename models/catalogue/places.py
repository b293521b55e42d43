"""The folders in which the files of a row may be, and the clauses of errors that name them. Loads no torch.

The order is: what ships with the project (`models/embedded`), `$CNET_MODELS_DIR`, `models/checkpoints`,
`models/controlnets` (each holds one folder per catalogue id), then the Hugging Face cache, where downloads go.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.catalogue.row import File, Weights, size_text
from models.environment import models_folder
from models.files import HERE, short

SMALL = 1_000_000
"""Bytes below which files are counted, not named."""
DOWNLOAD_COMMAND = "python -m cnet_app models download"


def own_folder() -> Path:
    """Return the folder of the user's own models and of the notes on them."""
    return models_folder() or HERE


def local_folders(row: Weights) -> list[Path]:
    """Return the folders in which a user, or this project, may have put the row's files."""
    if row.folder:
        return [HERE / row.folder]
    given = models_folder()
    roots = [*([given] if given else []), HERE / "checkpoints", HERE / "controlnets"]
    return [root / (row.shares or row.id) for root in roots]


def folders(row: Weights) -> Iterator[Path]:
    """Yield every folder that may hold the row's files; it need not exist."""
    yield from local_folders(row)
    yield from _cached_folders(row)


def fullest_folder(row: Weights) -> Path | None:
    """Return the folder that has most of the row's files, the first of several; None where none has any."""
    counts = {folder: sum(bool(present(folder, file)) for file in row.files) for folder in folders(row)}
    best = max(counts, key=lambda folder: counts[folder])
    return best if counts[best] else None


def present(folder: Path, file: File) -> Path | None:
    """Return the path of a file under the first of its names that is there, or None."""
    return next((folder / name for name in file.names if (folder / name).is_file()), None)


def place_for(row: Weights) -> Path:
    """Return the folder into which a user should put the files."""
    found = local_folders(row)
    return found[0] if row.folder or models_folder() else found[-1 if row.kind in ("controlnet", "adapter") else 0]


def missing_files(row: Weights) -> list[File]:
    """Return the files that are not in their place yet, the largest first; all of them where none is missing."""
    missing = [file for file in row.files if not present(place_for(row), file)]
    return sorted(missing or row.files, key=lambda file: -(file.size or 0))


def needs(row: Weights, file: File | None = None) -> str:
    """Return 'Canny for SD 1.5 needs model.safetensors (723 MB) and 1 small file': what is missing, or only this file."""
    missing = [file] if file else missing_files(row)
    large = [file for file in missing if file.size is None or file.size >= SMALL] or missing[:1]
    named = [f"{file.name} ({size_text(file.size)})" for file in large]
    few = len(missing) - len(large)
    if few:
        named.append(f"{few} small file{'s' * (few > 1)}")
    return f"{row.title} needs {' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))}"


def remedy(row: Weights) -> str:
    """Return what to do where the hub cannot be reached, as a clause."""
    return f"go online, or {_put_by_hand(row)}"


def download_hint(row: Weights) -> str:
    """Return how to get the files of a row, as a clause: the command that downloads them, or where to put them."""
    return f"run `{DOWNLOAD_COMMAND} {row.id}`, or {_put_by_hand(row)}"


def _put_by_hand(row: Weights) -> str:
    what = "the files" if len(missing_files(row)) > 1 else "that file"
    return f"put {what} of {row.page} into {short(place_for(row))}"


def _cached_folders(row: Weights) -> Iterator[Path]:
    """The Hugging Face cache's folder of the row's revision, where it has any file of it."""
    if not row.repo:
        return
    from huggingface_hub import try_to_load_from_cache

    for name in row.files[0].names:
        cached = try_to_load_from_cache(row.repo, name, revision=row.revision)
        if isinstance(cached, str):
            yield Path(cached.removesuffix(name))
            return
