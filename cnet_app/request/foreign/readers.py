"""The programs whose recipes are read: one row a program, the more particular formats first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cnet_app.request.foreign import a1111, comfyui, fooocus, invokeai, novelai, swarmui
from cnet_app.request.foreign.recipe import ForeignRecipe


@dataclass(frozen=True)
class Reader:
    """A row of the table."""

    program: str
    recognises: Callable[[Mapping[str, str]], bool]
    """Whether the texts of a picture are this program's, whole or damaged."""
    read: Callable[[Mapping[str, str]], ForeignRecipe]
    """Raises InputError, whose text is a clause, for damaged ones."""


READERS = (
    Reader("InvokeAI", lambda texts: invokeai.NAME in texts, invokeai.read),
    Reader("SwarmUI", swarmui.is_swarm, swarmui.read),
    Reader("Fooocus", fooocus.is_fooocus, fooocus.read),
    Reader("NovelAI", novelai.is_novelai, novelai.read),
    Reader(
        "AUTOMATIC1111's web UI and Forge",
        lambda texts: a1111.is_parameters(texts.get("parameters", "")),
        a1111.read,
    ),
    Reader("ComfyUI", lambda texts: "prompt" in texts, comfyui.read),
)
