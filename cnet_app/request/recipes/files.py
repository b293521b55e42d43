"""Local model files that a request names, and the sha256 of each: a name alone does not fix what is in a file."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from cnet_app.request.generation import GenerationRequest
from models.catalogue.local import LocalFile, adapter_files, local_files
from models.catalogue.resolve import base_defaults
from models.families import FAMILIES

Kind: TypeAlias = Literal["base", "vae", "controlnet", "lora", "ip_adapter"]
TITLES: Mapping[Kind, str] = MappingProxyType(
    {
        "base": "Base model",
        "vae": "Autoencoder",
        "controlnet": "ControlNet",
        "lora": "LoRA",
        "ip_adapter": "IP-Adapter",
    }
)


def file_hashes(request: GenerationRequest, among: Container[str] | None = None) -> dict[str, str]:
    """The sha256 of every local file that the request names, by title and name: {'LoRA detail.safetensors': …}.

    Catalogue rows, hub ids and folders have none. Reads each file once, some seconds for a large one, and again only
    after it has changed; with `among` only the files of these keys.
    """
    found: dict[str, str] = {}
    for kind, name in _named(request):
        key = f"{TITLES[kind]} {name}"  # files of two kinds may share a name
        file = _local_file(kind, name) if among is None or key in among else None
        if file:
            with suppress(OSError):  # removed or locked since it was loaded
                found[key] = file.sha256
    return found


def _named(request: GenerationRequest) -> Iterator[tuple[Kind, str]]:
    yield "base", request.base
    if request.vae:
        yield "vae", request.vae
    named = [unit.controlnet for unit in request.units if unit.controlnet]
    family, _ = base_defaults(request.base) if named else (None, None)
    for name in named:  # a base that reads maps itself takes LoRAs for them
        yield "lora" if family and FAMILIES[family].references else "controlnet", name
    for lora in request.loras:
        yield "lora", lora.name
    if request.ip_adapter:
        yield "ip_adapter", request.ip_adapter.name


def _local_file(kind: Kind, name: str) -> LocalFile | None:
    """A file in the kind's folder by its name, a LoRA also by its name without the ending; else a file by its path."""
    if kind != "ip_adapter":
        for file in local_files(kind):
            if name == file.name or (kind == "lora" and name == file.path.stem):
                return file
    path = Path(name)
    # The kind has no part in the hash.
    return LocalFile(path, "lora" if kind == "ip_adapter" else kind) if _is_file(path) or _is_lora(kind, path) else None


def _is_lora(kind: Kind, path: Path) -> bool:
    """Return whether the path is the folder of a LoRA."""
    return kind == "lora" and bool(adapter_files(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
