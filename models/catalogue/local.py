"""Files that users drop into folders below models/; what one holds is read from its header. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from models.catalogue.row import TEXT_ENCODERS
from models.configs import INDEX, read_base_family
from models.environment import is_public, models_folder
from models.errors import DamagedError, InputError, WeightsError
from models.families import (
    FAMILIES,
    FAMILY_BY_WIDTH,
    FAMILY_OF_TWO_ENCODERS,
    family_of_control,
    family_of_network,
)
from models.family_facts import Family
from models.files import HERE, check_file, read_metadata, read_shapes, sha256_of, sha256_of_tensors, stamp
from models.layouts.gguf_files import GGUF, family_in

LocalKind = Literal["base", "controlnet", "lora", "embedding", "vae"]
Shapes = Mapping[str, Sequence[int]]
"""Shapes of tensors by name, from a header."""

FOLDERS: Mapping[LocalKind, str] = MappingProxyType(
    {"base": "checkpoints", "controlnet": "controlnets", "lora": "loras", "embedding": "embeddings", "vae": "vae"}
)
"""Below models/ and below `$CNET_MODELS_DIR`."""
KIND_TITLES: Mapping[LocalKind, str] = MappingProxyType(
    {
        "base": "a base model",
        "controlnet": "a ControlNet",
        "lora": "a LoRA",
        "embedding": "an embedding",
        "vae": "an autoencoder (VAE)",
    }
)
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
BASE_PREFIX = "model.diffusion_model."
"""Before the U-Net's tensors in a file that holds all of Stable Diffusion."""

READS_WORDS = ("attn2.to_k.weight", "attn2.to_k.down")
"""Ends of the name of a layer, or of its low-rank factor, whose input is the prompt's words."""
READS_SIZES = ("label_emb.0.0.weight", "label_emb.0.0.down", "add_embedding.linear_1.weight")
"""The same of the layer whose input is the picture's size and the pooled words."""
LORA_FILES = (
    "adapter_model.safetensors",
    "adapter_model.bin",
    "pytorch_lora_weights.safetensors",
    "pytorch_lora_weights.bin",
)
"""Names of the tensors in a folder that peft or diffusers has written for a LoRA."""
ADAPTER_PARTS = ("unet", *TEXT_ENCODERS)
"""Folders inside of it, where peft has written one for each network."""
FAMILY_KEY = "controlnet_studio.family"
"""In the metadata of a ControlNet that was trained here."""
BUNDLED = "bundle_emb."
"""Before the tensors of an embedding inside a LoRA's file."""

_LORA_NAME = re.compile(
    r"(^|[._])(lora_(down|up|A|B|mid|unet|te\d?)|lora\.(down|up)|hada_w\d|lokr_w\d|oft_blocks|dora_scale)([._]|$)"
)
_LORA_READS_WORDS = re.compile(r"attn2[._](?>.*?to_k)(?>.*?(lora[._]down|lora_A|hada_w1_b|[._]diff$))")
"""The half of a LoRA whose input is the text encoder's output; kohya's, peft's and diffusers' older names."""


@dataclass(frozen=True)
class LocalFile:
    """One file; its id is its name, and its kind is its folder's."""

    path: Path
    kind: LocalKind

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def tensors(self) -> Path:
        """The file with the tensors: itself, or the first one in a folder, which is that of a base's network."""
        return next(iter(self._files), self.path)

    @property
    def size(self) -> int:
        """Bytes of all its tensors."""
        return sum(file.stat().st_size for file in self._files or [self.path])

    @property
    def _files(self) -> list[Path]:
        """Files of tensors, where `path` is a folder."""
        if not self.path.is_dir():
            return []
        if self.kind == "base":
            return base_files(self.path)
        return list(adapter_files(self.path).values()) if self.kind == "lora" else network_files(self.path)[:1]

    @property
    def family(self) -> Family | None:
        """From a folder's config, or the shapes in a .safetensors file's header; None where they do not tell, and of a pickle."""
        if self.kind == "base" and self.path.is_dir():
            return _base_family(self.path)
        file = self.tensors
        if file.suffix == GGUF:
            return family_in(file)
        return _family(file, self.kind, stamp(file)) if file.suffix == ".safetensors" else None

    @property
    def control_blocks(self) -> int | None:
        """Blocks of a ControlNet that have a weight each, by the names in its header; None where they do not tell."""
        family, file = self.family, self.tensors
        return count_blocks(family, read_shapes(file)) if family and file.suffix == ".safetensors" else None

    @property
    def sha256(self) -> str:
        """Of the content: some seconds for a large file, until it changes once."""
        return _sha256(self.tensors, stamp(self.tensors))

    @property
    def tensors_sha256(self) -> str:
        """Of a .safetensors file without its header, by which some programs name LoRAs; of others as `sha256`."""
        file = self.tensors
        return _tensors_sha256(file, stamp(file)) if file.suffix == ".safetensors" else self.sha256


def local_files(kind: LocalKind) -> list[LocalFile]:
    """Return the files of a kind, by name: below `$CNET_MODELS_DIR`, then below models/; of two with one name the first.

    A folder with the files that peft or diffusers writes for a LoRA counts as one, and so does one of a base.
    """
    given = models_folder()
    folders = [root / FOLDERS[kind] for root in ([given] if given else []) + [HERE]]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    found = {path.name: path for path in reversed(files) if _holds(kind, path)}
    if is_public():
        found = {name: path for name, path in found.items() if is_within_models(path)}
    return [LocalFile(found[name], kind) for name in sorted(found)]


def is_within_models(path: Path) -> bool:
    """Return whether a file is in a folder of models itself, and not what a link leads to from there."""
    place = path.resolve()
    return any(place.is_relative_to(root.resolve()) for root in (models_folder(), HERE) if root)


def _holds(kind: LocalKind, path: Path) -> bool:
    if path.is_dir():
        readers = {"lora": adapter_files, "controlnet": network_files, "base": base_files}
        is_whole = not path.name.startswith(".")  # a folder that is being written is hidden
        return is_whole and kind in readers and bool(readers[kind](path))
    return (path.suffix in SUFFIXES or (kind == "base" and path.suffix == GGUF)) and path.is_file()


def adapter_files(folder: Path) -> dict[str, Path]:
    """Return the tensors in a folder that peft or diffusers has written for a LoRA, by the network in whose folder they are.

    The network is empty for a file right in the folder. Nothing is returned for a file.
    """
    places = {"": folder} | {part: folder / part for part in ADAPTER_PARTS}
    try:
        found = {part: _first_file(place) for part, place in places.items() if place.is_dir()}
    except (OSError, ValueError):  # a name that no folder can have
        return {}
    return {part: file for part, file in found.items() if file}


def network_files(folder: Path) -> list[Path]:
    """Return the tensors of a ControlNet in a folder as a training writes it: NAME.safetensors first."""
    names = (f"{folder.name}.safetensors", "diffusion_pytorch_model.safetensors")
    return [folder / name for name in names if (folder / name).is_file()]


def base_files(folder: Path) -> list[Path]:
    """Return the tensors of a base in a folder of diffusers' layout, those of its network first; none for any other folder."""
    if not (folder / INDEX).is_file():
        return []
    files = sorted(path for path in folder.glob("*/*") if path.suffix in SUFFIXES and path.is_file())
    networks = {row.network_folder for row in FAMILIES.values()}
    return sorted(files, key=lambda path: path.parent.name not in networks)


def _base_family(folder: Path) -> Family | None:
    try:
        return read_base_family(folder.name, folder)
    except (InputError, WeightsError):
        return None


def _first_file(folder: Path) -> Path | None:
    return next((folder / name for name in LORA_FILES if (folder / name).is_file()), None)


def find_local(kind: LocalKind, name: str) -> Path | None:
    """Return the dropped file of a name, or None."""
    return next((file.path for file in local_files(kind) if file.name == name), None)


def kind_of(names: Iterable[str]) -> LocalKind | None:
    """Return what a file with tensors of these names holds; None for none of the kinds."""
    known = set(names)
    if any(_LORA_NAME.search(name) for name in known):
        return "lora"
    if family_of_control(known):
        return "controlnet"
    if any(name.startswith(("control_model.", "zero_convs.", "controlnet_down_blocks.")) for name in known):
        return "controlnet"
    if family_of_network(known) or any(name.startswith(BASE_PREFIX) for name in known):
        return "base"
    if any(re.match(r"(first_stage_model\.|vae\.)?decoder\.(conv_in|layers\.\d+)\.", name) for name in known):
        return "vae"
    if known & {"emb_params", "clip_l", "clip_g"} or (len(known) == 1 and "." not in next(iter(known))):
        return "embedding"
    return None


def check_kind(path: Path, names: Iterable[str], expected: LocalKind) -> None:
    """Raise InputError where a file with tensors of these names is known to hold another kind."""
    found = kind_of(names)
    if found not in (None, expected):
        assert found is not None
        raise InputError(
            f"{path.name} is {KIND_TITLES[found]}, not {KIND_TITLES[expected]}; put it into models/{FOLDERS[found]}."
        )


def family_of_shapes(kind: LocalKind, shapes: Shapes) -> Family | None:
    """Return the family a file of this kind is, or was made for; None where its shapes do not tell, as an autoencoder's."""
    if kind == "lora":
        return _lora_family(shapes)
    if kind == "embedding":
        return _embedding_family(shapes)
    if kind == "vae":
        return None
    if own := family_of_network(shapes) if kind == "base" else family_of_control(shapes):
        return own
    widths = (shape[1] for name, shape in shapes.items() if name.endswith(READS_WORDS) and len(shape) > 1)
    return FAMILY_BY_WIDTH.get(next(widths, 0)) or (FAMILY_OF_TWO_ENCODERS if reads_sizes(shapes) else None)


def count_blocks(family: Family, names: Iterable[str]) -> int | None:
    """Return the blocks of a ControlNet with tensors of these names that have a weight each; None where they show none."""
    known = list(names)
    found = 0
    for pattern, base_blocks in FAMILIES[family].control_parts:
        own = sum(1 for name in known if re.search(pattern, name))
        length = -(-base_blocks // own) if own else 0  # of the base's blocks, that one steers
        found += -(-base_blocks // length) if base_blocks and own else own
    return found or None


def reads_sizes(names: Iterable[str]) -> bool:
    """Return whether a U-Net or ControlNet with tensors of these names reads the picture's size, as SDXL alone does."""
    return any(name.endswith(READS_SIZES) for name in names)


def _lora_family(shapes: Shapes) -> Family | None:
    def widths(pattern: str | re.Pattern[str]) -> Iterator[int]:
        return (shape[1] for name, shape in shapes.items() if len(shape) > 1 and re.search(pattern, name))

    for facts in reversed(list(FAMILIES.values())):  # names of FLUX.1's layers are also in FLUX.2
        if any(width in widths(rf"{mark}(?>.*?(lora[._]down|lora_A))") for mark, width in facts.layer_marks):
            return facts.id
    in_unet = next(widths(_LORA_READS_WORDS), 0) or _kronecker_width(shapes)
    if in_unet:
        return FAMILY_BY_WIDTH.get(in_unet)
    if any(name.startswith(("lora_te1_", "lora_te2_", "text_encoder_2.")) for name in shapes):
        return FAMILY_OF_TWO_ENCODERS
    return FAMILY_BY_WIDTH.get(next(widths(r"^(lora_te_|text_encoder\.)(?>.*?q_proj)(?>.*?(lora[._]down|lora_A))"), 0))


def _kronecker_width(shapes: Shapes) -> int:
    """Return the numbers per word that a LoKr reads: the product of the widths of its two matrices; 0 where none shows it."""
    layer = next(
        (name.rpartition(".")[0] for name in shapes if re.search(r"attn2[._](?>.*?to_k)(?>.*?\.lokr_w)", name)), None
    )
    if layer is None:
        return 0
    widths = (
        next(
            (
                shapes[name][1]
                for name in (f"{layer}.lokr_w{n}", f"{layer}.lokr_w{n}_b")
                if len(shapes.get(name, ())) > 1
            ),
            0,
        )
        for n in (1, 2)
    )
    return prod(widths)


def _embedding_family(shapes: Shapes) -> Family | None:
    if "clip_g" in shapes:
        return FAMILY_OF_TWO_ENCODERS
    return FAMILY_BY_WIDTH.get(next((shape[-1] for shape in shapes.values() if shape), 0))


@lru_cache(maxsize=1000)
def _sha256(path: Path, stamped: Hashable) -> str:
    """The stamp makes a replaced file another key."""
    return sha256_of(path)


@lru_cache(maxsize=1000)
def _tensors_sha256(path: Path, stamped: Hashable) -> str:
    """As `_sha256`."""
    return sha256_of_tensors(path)


@lru_cache(maxsize=1000)
def _family(path: Path, kind: LocalKind, stamped: Hashable) -> Family | None:
    """The stamp makes a replaced file another key. A page reads the headers of all files, on every reload."""
    try:
        check_file(path)
    except DamagedError:
        return None
    return family_of_metadata(read_metadata(path)) or family_of_shapes(kind, read_shapes(path))


def family_of_metadata(metadata: Mapping[str, str]) -> Family | None:
    """Return the family that a file made here names; None for all others."""
    named = metadata.get(FAMILY_KEY)
    return next((id for id in FAMILIES if id == named), None)
