"""Load base models, autoencoders and ControlNets onto a device, from files on this disk. Nothing is downloaded.

Families are read from configs and tensors, never from names.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, T2IAdapter

from models.autoencoders import load_inner_vae, load_vae_file, load_vae_folder, vae_dtype, vae_scale_factor
from models.catalogue.inner_parts import inner_encoder
from models.catalogue.resolve import CLIP_TOKENIZER, inner_parts_of, resolve, tokenizer_folder
from models.catalogue.row import TEXT_ENCODERS
from models.catalogue.weights import require, require_row
from models.configs import (
    CONFIG,
    INDEX,
    check_parts,
    class_name,
    is_distilled,
    read_base_family,
    read_controlnet_config,
    read_json,
)
from models.errors import InputError
from models.families import FAMILIES, TITLES
from models.family_facts import Defaults, Family
from models.files import stamp
from models.layouts.adapters import ADAPTER
from models.layouts.controlnet_files import needs_base
from models.layouts.gguf_files import GGUF, unknown_file
from models.layouts.one_file import base_family, layout, load_parts
from models.layouts.union import UnionInput, load_union
from models.machine.ladder import LADDER, Rung
from models.modules import (
    load_inner_encoder,
    load_network,
    load_network_file,
    load_scheduler,
    load_single_file,
    load_tokenizer,
    quiet,
)

CLIP_TOKENS = 77
"""Longest prompt in tokens, marks included."""
END, OPEN_CLIP_END = "<|endoftext|>", "!"
"""Tokens that fill up a short prompt, for CLIP and for OpenCLIP."""


@dataclass(frozen=True)
class Base:
    """A loaded base model."""

    id: str
    family: Family
    network: Any
    """The network that runs at every step: a U-Net, or the transformer of a family without one."""
    vae: Any
    """Its dtype may be wider than `dtype`: the one of SDXL overflows in float16. None where the files have none."""
    text_encoders: tuple[Any, ...]
    tokenizers: tuple[Any, ...]
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    vae_scale_factor: int
    """Side of the picture over side of the latents."""
    defaults: Defaults
    is_distilled: bool = False
    """Distilled to few steps by its index, so that guidance has no effect. A file of the network alone does not tell."""
    was_float8: bool = False
    """Whether its network's weights were in float8 and are widened now, so that they could take less memory."""
    rung: Rung = LADDER[0]
    """The rung of the memory ladder that it was loaded on."""

    @property
    def networks(self) -> tuple[Any, ...]:
        """The network that runs at every step, the autoencoder where there is one, and the text encoders."""
        return tuple(part for part in (self.network, self.vae, *self.text_encoders) if part is not None)

    @property
    def inpaints(self) -> bool:
        """Whether the network also reads a mask and the latents of the masked picture."""
        return self.network.config["in_channels"] == FAMILIES[self.family].inpainting_channels


def load_base(
    id: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, keeps_float8: bool = False
) -> Base:
    """Load a base by catalogue id, name of a dropped file, path of a file or a folder in diffusers format, or hub id.

    With `keeps_float8` linear layers of a file of the network alone that are in float8 stay so: see models.layouts.float8.
    Raises InputError and WeightsError, MissingError where files are not on this disk.
    """
    resolved = resolve(id, "base")
    device = torch.device(device)
    if resolved.path is None or not resolved.path.is_file():
        return _base_of_folder(id, resolved.require(), device, dtype)
    if resolved.path.suffix == GGUF and not resolved.family:
        raise unknown_file(resolved.path)
    if resolved.family and FAMILIES[resolved.family].network_marks:
        return _base_of_folder(id, require_row(resolved.rows[0]), device, dtype, resolved.path, keeps_float8)
    return _base_of_file(id, resolved.path, device, dtype)  # its own faults come before a missing vocabulary


def _base_of_folder(
    id: str,
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    file: Path | None = None,
    keeps_float8: bool = False,
) -> Base:
    """Load a base from a folder; `file` brings the network of every step in place of the folder's."""
    import diffusers
    import transformers

    index = read_json(folder / INDEX)
    family = read_base_family(id, folder)
    facts = FAMILIES[family]
    dtype = base_dtype(family, dtype)
    encoders = check_parts(id, index, family)
    kinds = [getattr(transformers, class_name(index, name)) for name in encoders]
    brought = inner_parts_of(file, family) if file else {}
    own = folder / facts.network_folder
    if file is None:
        network = load_network(getattr(diffusers, facts.network_class), own, dtype, device)
    else:
        network = load_network_file(file, family, own, dtype, device, keeps_float8)
    vae = None
    if file is not None and "vae" in brought:
        vae = load_inner_vae(file, brought["vae"], family, folder / "vae", dtype, device)
    elif class_name(index, "vae"):
        wide = vae_dtype(family, dtype, read_json(folder / "vae" / CONFIG))
        vae = load_network(getattr(diffusers, class_name(index, "vae")), folder / "vae", wide, device)
    factor = facts.latent_reduction if vae is None else vae_scale_factor(vae)
    return Base(
        id=id,
        family=family,
        network=network,
        vae=vae,
        text_encoders=tuple(
            load_inner_encoder(kind, file, brought[name], inner_encoder(family, name), folder / name, dtype, device)
            if file is not None and name in brought
            else load_network(kind, folder / name, dtype, device)
            for kind, name in zip(kinds, encoders, strict=True)
        ),
        tokenizers=tuple(
            load_tokenizer(folder / name.replace("text_encoder", "tokenizer"), kind)
            for name, kind in zip(encoders, facts.tokenizer_classes, strict=False)
        ),
        scheduler=load_scheduler(class_name(index, "scheduler"), folder / "scheduler"),
        device=device,
        dtype=dtype,
        vae_scale_factor=factor,
        defaults=_defaults(family, network.config.get("sample_size"), factor, file is None and not is_distilled(index)),
        is_distilled=file is None and is_distilled(index),
    )


def base_dtype(family: Family, dtype: torch.dtype) -> torch.dtype:
    """Return the number format of a family's networks: bfloat16 where they overflow in float16."""
    return torch.bfloat16 if FAMILIES[family].overflows_half and dtype == torch.float16 else dtype


def _base_of_file(id: str, file: Path, device: torch.device, dtype: torch.dtype) -> Base:
    tokenizers = _clip_tokenizers(base_family(file))
    parts = load_parts(file, dtype, device)
    factor = FAMILIES[parts.family].latent_reduction if parts.vae is None else vae_scale_factor(parts.vae)
    return Base(
        id=id,
        family=parts.family,
        network=parts.unet,
        vae=parts.vae,
        text_encoders=parts.text_encoders,
        tokenizers=tokenizers,
        scheduler=parts.scheduler,
        device=device,
        dtype=dtype,
        vae_scale_factor=factor,
        defaults=_defaults(parts.family, parts.unet.config["sample_size"], factor),
    )


def _clip_tokenizers(family: Family) -> tuple[Any, ...]:
    """One a text encoder, all with CLIP's vocabulary; they differ in what fills up a short prompt."""
    folder = tokenizer_folder() or require(CLIP_TOKENIZER)
    padding = (OPEN_CLIP_END if encoder.open_clip else END for encoder in layout(family).text_encoders)
    return tuple(load_tokenizer(folder, pad_token=token, model_max_length=CLIP_TOKENS) for token in padding)


def load_vae(
    id: str, family: Family, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> AutoencoderKL | AutoencoderTiny:
    """Load an autoencoder for a family: by catalogue id, name of a dropped file, path, or hub id.

    Its dtype may be wider than `dtype`. InputError where its latents are not the family's; WeightsError.
    """
    path = resolve(id, "vae", family).require()
    if path.is_file():
        return load_vae_file(path, family, dtype, device)
    return load_vae_folder(id, path, family, dtype, device)


def load_controlnet(
    id: str,
    family: Family,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    base_network: Any = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> torch.nn.Module | UnionInput:
    """Load a ControlNet, T2I-Adapter or union input by catalogue id, name of a dropped file, path or hub id.

    One of another family is refused before its weights are read. `base_network` is the base's, whose weights complete those
    of a Control-LoRA, and whose layers show where those of a file belong; `on_note` gets a sentence on what a file leaves open. Raises InputError and WeightsError.
    """
    import diffusers

    if FAMILIES[family].references:
        raise InputError(
            f"{id} is given as a ControlNet, but {TITLES[family]} has none: it reads maps itself; leave it out, or name a LoRA."
        )
    resolved = resolve(id, "controlnet", family)
    path, row = resolved.require(), resolved.row
    if path.is_file():
        return load_single_file(path, family, dtype, device, base_network, on_note)
    config = read_controlnet_config(id, path / CONFIG, family)
    if config["_class_name"] == ADAPTER:
        return load_network(T2IAdapter, path, dtype, device)
    if "num_control_type" not in config:
        network = load_network(getattr(diffusers, FAMILIES[family].control_class), path, dtype, device)
        return _reading_rgb(network) if row is not None and row.bgr else network
    if row is None or row.control_type is None:
        raise InputError(
            f"{id} is a union ControlNet, which reads many kinds of maps; choose one that reads a single kind."
        )
    return load_union(row.title, path, row.control_type, dtype, device)


def is_completed_by_base(id: str, family: Family) -> bool:
    """Return whether a ControlNet holds a part of its weights only, so that it is loaded for one base; reads names alone."""
    path = resolve(id, "controlnet", family).path
    return path is not None and path.is_file() and _needs_base(path, stamp(path))


@lru_cache(maxsize=1000)
def _needs_base(path: Path, stamped: Hashable) -> bool:
    """The stamp makes a replaced file another key."""
    return needs_base(path)


def _reading_rgb(network: Any) -> Any:
    """Return a network trained on BGR with the channels of its first filters exchanged."""
    first = network.controlnet_cond_embedding.conv_in.weight
    first.data = first.data.flip(1)
    return network


def _defaults(family: Family, sample_size: object, factor: int, undistilled: bool = False) -> Defaults:
    """The family's, at the size that this model was trained at."""
    facts = FAMILIES[family]
    defaults = facts.undistilled or facts.defaults if undistilled else facts.defaults
    return replace(defaults, size=sample_size * factor) if isinstance(sample_size, int) else defaults


def save_base(base: Base, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a base in diffusers folder format; diffusers' own pipelines can load it too."""
    parts: dict[str, Any] = {FAMILIES[base.family].network_folder: base.network, "vae": base.vae}
    encoders = zip(base.text_encoders, base.tokenizers, strict=True)
    for name, (encoder, tokenizer) in zip(TEXT_ENCODERS, encoders, strict=False):
        parts |= {name: encoder, name.replace("text_encoder", "tokenizer"): tokenizer}
    parts["scheduler"] = base.scheduler
    index: dict[str, Any] = {"_class_name": FAMILIES[base.family].pipeline_class}
    for name, part in parts.items():
        library = "diffusers" if type(part).__module__.startswith("diffusers") else "transformers"
        index[name] = [library, type(part).__name__]
        save_network(part, folder / name, dtype)
    if FAMILIES[base.family].undistilled:
        index["is_distilled"] = base.is_distilled
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def save_network(part: Any, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a network's tensors in this dtype, the network itself unchanged; tokenizers and schedulers as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(part, torch.nn.Module):
        part = torch.nn.Module.to(copy.deepcopy(part), dtype)  # diffusers' own `to` warns of what does not apply here
    with quiet():
        part.save_pretrained(folder)
    config = folder / "config.json"
    if type(part).__name__ == "AutoencoderTiny":  # it writes a setting that it warns of when it reads it
        settings = {key: value for key, value in read_json(config).items() if key != "block_out_channels"}
        config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # the libraries differ, and a container's user must be able to read them
