"""The models that a visitor of a public app may name. Loads no torch."""

from __future__ import annotations

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError
from models.local import FOLDERS, local_files
from models.own import known_rows


def check_known(request: GenerationRequest | UpscaleRequest) -> None:
    """Raise InputError for models that the app does not offer: no visitor makes it load or download another."""
    local = {file.name for kind in FOLDERS for file in local_files(kind)}
    known = local | {row.id for row in known_rows()}
    units = request.units if isinstance(request, GenerationRequest) else ()
    named = [request.base, *(unit.controlnet for unit in units if unit.controlnet)]
    named += [lora.name for lora in request.loras] + ([request.vae] if request.vae else [])
    named += [request.ip_adapter.name] if request.ip_adapter else []
    strange = [id for id in named if id not in known]
    if strange:
        raise InputError(f"The request names {strange[0]}, which this app does not offer; use its own models.")
