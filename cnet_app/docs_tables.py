"""Tables of the derived documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from models.catalogue.local import FOLDERS, SUFFIXES, LocalKind
from models.families import FAMILIES
from models.layouts.gguf_files import GGUF


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _titles(chosen: Iterable[bool]) -> str:
    """Return the titles of the families for which it is true, in their order."""
    return ", ".join(row.title for row, is_chosen in zip(FAMILIES.values(), chosen, strict=True) if is_chosen)


LOCAL_FILES: Mapping[LocalKind, tuple[str, str]] = {
    "base": (
        f"{_titles(row.one_file is not None for row in FAMILIES.values())}, their fine-tunes and inpainting models in one file; "
        f"the network alone of {_titles(bool(row.network_marks) for row in FAMILIES.values())}; a folder of any family in diffusers' "
        "layout",
        "`--base NAME`",
    ),
    "controlnet": (
        "ControlNets, Control-LoRAs and T2I-Adapters, in diffusers' layout or the original's",
        "`--control canny=photo.jpg,controlnet=NAME`",
    ),
    "lora": (
        "LoRAs of every kind below, in kohya's layout, LyCORIS', peft's or diffusers'; a folder too",
        "`--lora NAME:0.8`",
    ),
    "embedding": ("textual inversions, in every layout", "its name without ending, in a prompt"),
    "vae": ("autoencoders, TAESD among them, in diffusers' layout or the original's", "`--vae NAME`"),
}
"""Accepted files of each folder, and their names on the command line."""


def folders_table() -> str:
    """Return the table of the folders for files of the user's own."""
    rows = [(f"`models/{FOLDERS[kind]}`", *LOCAL_FILES[kind]) for kind in FOLDERS]
    endings = ", ".join(f"`{suffix}`" for suffix in SUFFIXES)
    table = markdown_table(("Folder", "Takes", "Named by"), rows)
    return f"{table}\nFiles end in {endings}; the network of a base also in `{GGUF}`.\n"
