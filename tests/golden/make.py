"""Every call that the golden tests make into the app. Where the app is renamed or restructured, adapt this module alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from annotators.base import create
from annotators.registry import ANNOTATORS, annotator
from annotators.runtime import Runtime
from cnet_app.diffusion.backbones.base import Network
from cnet_app.diffusion.pipeline import generate
from cnet_app.embedded.world import create_scene
from cnet_app.registry.conditions import controlnet_id
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.tasks import task_from_json
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import Family, entry
from models.ip_adapter import IpAdapter, load_ip_adapter
from models.layouts.union import UnionInput
from models.loader import Base, load_base, load_controlnet
from models.lora.loras import use_loras
from models.tiny import tiny_base
from models.tiny.unets import save_tiny_ip_adapter, tiny_adapter, tiny_controlnet, tiny_union

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""

LORAS = Path(__file__).parent / "loras"
TINY: dict[str, Family] = {"tiny_sd15": "sd15", "tiny_sdxl": "sdxl"}
"""Ids of bases with random weights, which only these recipes use."""


@contextmanager
def one_cpu_thread() -> Iterator[None]:
    """Compute on the CPU in one thread: the order of a sum, and so its last bits, may depend on the number of threads."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def make_pictures(request_json: object) -> list[Pixels]:
    """Return the pictures of a request that `to_json` wrote, in float32."""
    request = task_from_json(request_json)
    assert isinstance(request, GenerationRequest)
    base = _base(request.base)
    networks = [_network(request.base, unit) for unit in request.units]
    adapter = _ip_adapter(request.base) if request.ip_adapter else None
    use_loras(base, [(str(LORAS / f"{lora.name}.safetensors"), lora.scale) for lora in request.loras])
    try:
        return generate(base, networks, request, ip_adapter=adapter)
    finally:
        use_loras(base, [])  # networks of other recipes are made from the base as it was


def make_map(annotator_id: str, source_image: Pixels) -> Pixels:
    """Return the map of an annotator with its default parameters."""
    return create(annotator(annotator_id))(source_image, Runtime("cpu"))


def make_scene(seed: int) -> Pixels:
    """Return a procedural scene of 256x256 pixels."""
    return create_scene(seed, 256).image


def available_annotators() -> list[str]:
    """List the annotators that need no download."""
    return [kind.id for kind in ANNOTATORS if not any(entry(id).repo for id in create(kind).needs())]


def map_kind(annotator_id: str) -> str:
    """Return the kind of an annotator's maps: lines, soft_lines, depth, normal, labels, pose or picture."""
    return annotator(annotator_id).kind


@cache
def _base(id: str) -> Base:
    return tiny_base(TINY[id]) if id in TINY else load_base(id, "cpu", torch.float32)


def _network(base_id: str, unit: ControlUnit) -> Network:
    """Return the unit's network: for a tiny base `kind:number`, else the one that the app chooses."""
    base = _base(base_id)
    return _load_network(base_id, unit.controlnet or controlnet_id(unit.condition, base.family))


@cache
def _load_network(base_id: str, id: str) -> Network:
    base = _base(base_id)
    kind, _, number = id.partition(":")
    match kind:
        case "tiny_controlnet":
            return tiny_controlnet(base, seed=int(number))
        case "tiny_adapter":
            return tiny_adapter(seed=int(number))
        case "tiny_union":
            return UnionInput(_union(base_id), control_type=int(number))
        case _:
            return load_controlnet(id, base.family, "cpu", torch.float32)


@cache
def _union(base_id: str) -> Any:
    return tiny_union(_base(base_id))


@cache
def _ip_adapter(base_id: str) -> IpAdapter:
    with TemporaryDirectory() as folder:
        return load_ip_adapter(str(save_tiny_ip_adapter(_base(base_id), Path(folder))), _base(base_id))
