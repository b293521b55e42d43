"""Every place where Gradio's own behaviour is replaced or its helpers are used, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.components.api_component import Api
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder, is_in_or_equal

NOT_UPLOADED = "A file must be one that was uploaded here, and this one was not or is no longer there; upload it again."


class CheckedBlocks(gr.Blocks):
    """Checks every posted value before a function runs: Gradio's own check lets files pass that are not declared as files."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        # A program may leave the last arguments out; only Gradio's own client fills them in.
        inputs += [component.value for component in block_fn.inputs[len(inputs) :] if isinstance(component, Api)]
        super().validate_inputs(block_fn, inputs)
        if not all(map(is_uploaded, _paths(inputs))):
            raise gr.Error(NOT_UPLOADED, print_exception=False)


def cache_upload(content: bytes, name: str) -> str:
    """Save a file where Gradio may serve it, next to uploaded ones, and return its path."""
    return save_bytes_to_cache(content, name, get_upload_folder())


def is_uploaded(path: object) -> bool:
    """Return whether a path is that of a file which was uploaded to this server."""
    try:
        return isinstance(path, str) and Path(path).is_file() and is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _paths(value: Any) -> Iterator[Any]:
    """Yield the paths of all files in a value, at any depth."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)
