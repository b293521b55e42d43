"""The models that a visitor of a public app may name. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator

from annotators.base import shown
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.upscale import UpscaleRequest
from models.catalogue.local import FOLDERS, is_within_models, local_files
from models.catalogue.own import known_rows
from models.errors import InputError


def offered_models() -> frozenset[str]:
    """Return the names of all models of this app: rows of its lists, and files in its folders, not what links lead to."""
    files = (file for kind in FOLDERS for file in local_files(kind) if is_within_models(file.path))
    return frozenset(file.name for file in files) | {row.id for row in known_rows()}


def check_known(request: GenerationRequest | UpscaleRequest, base: str = "") -> None:
    """Raise InputError for models that the app does not offer: no visitor makes it load or download another.

    `base` is the one that the app was started with, whatever it is.
    """
    offered = offered_models() | {base}
    strange = next((id for id in named_models(request) if id not in offered), None)
    if strange is not None:
        raise InputError(f"The request names {shown(strange)}, which this app does not offer; use its own models.")


def named_models(request: GenerationRequest | UpscaleRequest) -> Iterator[str]:
    """Yield the name of every model of a request."""
    yield request.base
    yield from (lora.name for lora in request.loras)
    if request.vae:
        yield request.vae
    if request.ip_adapter:
        yield request.ip_adapter.name
    if isinstance(request, GenerationRequest):
        yield from (unit.controlnet for unit in request.units if unit.controlnet)
