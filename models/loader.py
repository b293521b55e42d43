"""Files become diffusers and transformers modules on a device and dtype. A family is read from configs, never from names."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.adapters import ADAPTER, adapter_family
from models.autoencoders import VAE_CLASSES, load_vae_file, load_vae_folder, vae_dtype, vae_scale_factor
from models.catalog import (
    CATALOG,
    COMPONENTS_XL,
    File,
    Kind,
    Weights,
    hub_entry,
)
from models.errors import InputError
from models.families import FAMILIES, TITLES, Defaults, Family, family_of
from models.local import LocalKind, find_local
from models.memory import LADDER, Rung
from models.modules import load_network, load_scheduler, load_single_file, load_tokenizer, quiet, read_json
from models.names import did_you_mean
from models.one_file import base_family, layout, load_parts
from models.weights import Progress, fetch, fetch_row, find

CLIP_TOKENS = 77
"""Longest prompt in tokens, marks included."""
END, OPEN_CLIP_END = "<|endoftext|>", "!"
"""What fills up a short prompt, for CLIP and for OpenCLIP."""
_TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")


@dataclass(frozen=True)
class Base:
    """A base model: everything that is loaded once and locked."""

    id: str
    family: Family
    unet: Any
    vae: Any
    """Its dtype may be wider than `dtype`: the one of SDXL overflows in float16."""
    text_encoders: tuple[Any, ...]
    tokenizers: tuple[Any, ...]
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    vae_scale_factor: int
    """Side of the picture over side of the latents."""
    defaults: Defaults
    rung: Rung = LADDER[0]
    """How much of it is on the device at once."""

    @property
    def inpaints(self) -> bool:
        """Whether the U-Net also reads a mask and the masked picture's latents, 9 channels in all."""
        return self.unet.config["in_channels"] == FAMILIES[self.family].inpainting_channels


def load_base(
    id: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> Base:
    """A base by catalogue id, name of a dropped file, path of a file or a folder in diffusers format, or hub id.

    Raises InputError and WeightsError.
    """
    if file := _file(id, "base"):
        return _base_of_file(id, file, torch.device(device), dtype, progress)
    folder = _folder(id, "base", progress)
    return _base_of_folder(id, folder, torch.device(device), dtype)


def _base_of_folder(id: str, folder: Path, device: torch.device, dtype: torch.dtype) -> Base:
    import diffusers
    import transformers

    index = read_json(folder / "model_index.json")
    family = _base_family(id, folder)
    encoders = [name for name in ("text_encoder", "text_encoder_2") if _class_name(index, name)]
    if len(encoders) != FAMILIES[family].text_encoders:
        raise InputError(f"{id} has {len(encoders)} text encoders, which is not how a {TITLES[family]} model is made.")

    unet = load_network(diffusers.UNet2DConditionModel, folder / "unet", dtype, device)
    wide = vae_dtype(family, dtype, read_json(folder / "vae" / "config.json"))
    vae = load_network(_listed(diffusers, VAE_CLASSES, index, "vae"), folder / "vae", wide, device)
    factor = vae_scale_factor(vae)
    return Base(
        id=id,
        family=family,
        unet=unet,
        vae=vae,
        text_encoders=tuple(
            load_network(_listed(transformers, _TEXT_ENCODERS, index, name), folder / name, dtype, device)
            for name in encoders
        ),
        tokenizers=tuple(load_tokenizer(folder / name.replace("text_encoder", "tokenizer")) for name in encoders),
        scheduler=load_scheduler(_class_name(index, "scheduler"), folder / "scheduler"),
        device=device,
        dtype=dtype,
        vae_scale_factor=factor,
        defaults=_defaults(family, unet.config.get("sample_size"), factor),
    )


def _base_of_file(id: str, file: Path, device: torch.device, dtype: torch.dtype, progress: Progress | None) -> Base:
    tokenizers = _clip_tokenizers(base_family(file), progress)  # may be what is missing, so before much is read
    parts = load_parts(file, dtype, device)
    factor = vae_scale_factor(parts.vae)
    return Base(
        id=id,
        family=parts.family,
        unet=parts.unet,
        vae=parts.vae,
        text_encoders=parts.text_encoders,
        tokenizers=tokenizers,
        scheduler=parts.scheduler,
        device=device,
        dtype=dtype,
        vae_scale_factor=factor,
        defaults=_defaults(parts.family, parts.unet.config["sample_size"], factor),
    )


def _clip_tokenizers(family: Family, progress: Progress | None) -> tuple[Any, ...]:
    """CLIP's, out of any base that is here, else downloaded; OpenCLIP's encoders are given "!" where a prompt is short."""
    bases = (find(row.id) for row in FAMILIES.values() if row.one_file)
    folder = next((base / "tokenizer" for base in bases if base), None) or fetch("clip_tokenizer", progress)
    padding = (OPEN_CLIP_END if encoder.open_clip else END for encoder in layout(family).text_encoders)
    return tuple(load_tokenizer(folder, pad_token=token, model_max_length=CLIP_TOKENS) for token in padding)


def load_vae(
    id: str,
    family: Family,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Any:
    """An AutoencoderKL or AutoencoderTiny for a family: by catalogue id, name of a dropped file, path, or hub id.

    Its dtype may be wider than `dtype`. InputError where its latents are none of the family's; WeightsError.
    """
    if file := _file(id, "vae"):
        return load_vae_file(file, family, dtype, device)
    return load_vae_folder(id, _folder(id, "vae", progress), family, dtype, device)


def load_controlnet(
    id: str,
    family: Family,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Any:
    """A ControlNetModel, T2IAdapter or UnionInput by catalogue id, name of a dropped file, path or hub id.

    One of another family is refused before its weights are read.
    """
    from diffusers import ControlNetModel, T2IAdapter

    from models.union import load_union

    if file := _file(id, "controlnet"):
        return load_single_file(file, family, dtype, device)
    row = _row(id, "controlnet")
    if row is not None:
        _check_family(row.title, row.family, family)
    elif not Path(id).is_dir() and _is_hub_id(id):
        config_alone = replace(hub_entry(id, "controlnet"), files=(File("config.json", 0),))
        _check_controlnet(id, fetch_row(config_alone) / "config.json", family)
    folder = _folder(id, "controlnet", progress)
    if row is not None and not any(file.name == "config.json" for file in row.files):
        return load_single_file(folder / row.files[0].name, family, dtype, device)
    config = _check_controlnet(id, folder / "config.json", family)
    if config["_class_name"] == ADAPTER:
        return load_network(T2IAdapter, folder, dtype, device)
    if "num_control_type" not in config:
        network = load_network(ControlNetModel, folder, dtype, device)
        return _reading_rgb(network) if row is not None and row.bgr else network
    if row is None or row.control_type is None:
        raise InputError(
            f"{id} is a union ControlNet, which reads many kinds of maps; choose one that reads a single kind."
        )
    return load_union(row.title, folder, row.control_type, dtype, device)


def _reading_rgb(network: Any) -> Any:
    """A network trained on BGR, with its first filters turned about."""
    first = network.controlnet_cond_embedding.conv_in.weight
    first.data = first.data.flip(1)
    return network


def _check_controlnet(id: str, path: Path, family: Family) -> Mapping[str, Any]:
    """Its config; InputError where it is neither a ControlNet's nor a T2I-Adapter's, or another family's."""
    config = read_json(path)
    kind = str(config.get("_class_name", "something unnamed"))
    if kind != ADAPTER and not kind.startswith("ControlNet"):
        raise InputError(f"{id} is no ControlNet but {kind}; choose a ControlNet or a T2I-Adapter.")
    _check_family(id, adapter_family(config) if kind == ADAPTER else family_of(config), family)
    return config


def _check_family(title: str, own: Family | None, wanted: Family) -> None:
    if own != wanted:
        made = TITLES[own] if own else "another kind of model"
        raise InputError(
            f"{title} was made for {made} and cannot steer {TITLES[wanted]}; choose a ControlNet for {TITLES[wanted]}."
        )


def _base_family(id: str, folder: Path) -> Family:
    family = family_of(read_json(folder / "unet" / "config.json"))
    if family is None:
        raise InputError(
            f"{id} is none of the kinds of model this app knows: {', '.join(TITLES.values())}; choose one of those."
        )
    return family


def family_defaults(family: Family) -> Defaults:
    """What a family is used with where nothing is said."""
    return FAMILIES[family].defaults


def _defaults(family: Family, sample_size: object, factor: int) -> Defaults:
    """The family's, at the size this very model was trained at."""
    defaults = family_defaults(family)
    return replace(defaults, size=sample_size * factor) if isinstance(sample_size, int) else defaults


def _class_name(index: Mapping[str, Any], part: str) -> str:
    """What the model index says a part is; empty where it has none."""
    found = index.get(part)
    return str(found[1]) if isinstance(found, list) and len(found) == 2 and found[1] else ""


def _listed(library: Any, allowed: tuple[str, ...], index: Mapping[str, Any], part: str) -> Any:
    """The class of a part; a model index may name these few only."""
    name = _class_name(index, part)
    if name not in allowed:
        raise InputError(f"The model's {part} is {name or 'missing'}, but this app knows {' and '.join(allowed)} only.")
    return getattr(library, name)


def _file(id: str, kind: LocalKind) -> Path | None:
    """A dropped file by its name, or a file by its path; the catalogue's names go first."""
    if any(id in (row.id, row.repo) for row in CATALOG):
        return None
    return find_local(kind, id) or (Path(id) if Path(id).is_file() else None)


def _folder(id: str, kind: Kind, progress: Progress | None) -> Path:
    """Where the files are, downloaded if need be: a catalogue id, a folder or a hub id."""
    if row := _row(id, kind):
        return fetch_row(row, progress)
    if Path(id).is_dir():
        return Path(id)
    if not _is_hub_id(id):
        ids = [row.id for row in CATALOG if row.kind == kind]
        known = ", ".join(ids)
        raise InputError(
            f"There is no {kind} {id!r}{did_you_mean(id, ids)}; give a file, a folder in diffusers format, owner/name on the hub"
            f"{', or one of: ' + known if known else ''}."
        )
    if kind != "base":
        return fetch_row(hub_entry(id, kind), progress)
    index = read_json(fetch_row(hub_entry(id, kind)) / "model_index.json")
    parts = [name for name in COMPONENTS_XL if _class_name(index, name)]
    return fetch_row(hub_entry(id, kind, parts), progress)


def _row(id: str, kind: Kind) -> Weights | None:
    """By id, or by a repository that has one row; a T2I-Adapter stands wherever a ControlNet does."""
    kinds = (kind, "adapter") if kind == "controlnet" else (kind,)
    found = [row for row in CATALOG if id in (row.id, row.repo) and row.kind in kinds]
    if len(found) > 1:
        raise InputError(
            f"{id} reads several kinds of maps; name one of its rows: {', '.join(row.id for row in found)}."
        )
    return found[0] if found else None


def _is_hub_id(id: str) -> bool:
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", id) is not None


def save_base(base: Base, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Writes a base in diffusers folder format; diffusers' own pipelines can load it too."""
    parts: dict[str, Any] = {"unet": base.unet, "vae": base.vae}
    for number, (encoder, tokenizer) in enumerate(zip(base.text_encoders, base.tokenizers, strict=True)):
        suffix = f"_{number + 1}" if number else ""
        parts |= {f"text_encoder{suffix}": encoder, f"tokenizer{suffix}": tokenizer}
    parts["scheduler"] = base.scheduler
    index: dict[str, Any] = {"_class_name": FAMILIES[base.family].pipeline_class}
    for name, part in parts.items():
        library = "diffusers" if type(part).__module__.startswith("diffusers") else "transformers"
        index[name] = [library, type(part).__name__]
        save_network(part, folder / name, dtype)
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def save_network(part: Any, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Writes a network's tensors in this dtype, the network itself unchanged; tokenizers and schedulers as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(part, torch.nn.Module):
        part = torch.nn.Module.to(copy.deepcopy(part), dtype)  # diffusers' own `to` warns of what is not the case
    with quiet():
        part.save_pretrained(folder)
    config = folder / "config.json"
    if type(part).__name__ == "AutoencoderTiny":  # writes a setting of which it warns when it reads it
        settings = {key: value for key, value in read_json(config).items() if key != "block_out_channels"}
        config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # the libraries differ, and a container's user must be able to read them
