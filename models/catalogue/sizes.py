"""Bytes that the networks of a choice take in memory, from rows and headers of files, before any is loaded. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.catalogue.addition_sizes import Additions, expected_additions
from models.catalogue.catalog import CATALOG
from models.catalogue.config_sizes import encoder_numbers, network_numbers
from models.catalogue.inner_parts import VAE_PREFIXES
from models.catalogue.places import present
from models.catalogue.resolve import Resolved, base_folder, resolve, row_of_base
from models.catalogue.row import TEXT_ENCODERS
from models.configs import CONFIG, INDEX, class_name, read_json, read_network_config
from models.errors import InputError, WeightsError
from models.families import FAMILIES, network_prefix
from models.family_facts import Family, Parameters
from models.files import file_fault, read_formats, read_shapes
from models.layouts.gguf_files import GGUF

FOUR_BITS = ".quant_state.bitsandbytes__"
"""Part of the names of tensors beside each weight in 4 bits; the type follows."""
LOW_RANK, DIFFERENCE = "lora_controlnet", "difference"
"""Names of tensors that mark a file with a part of a ControlNet's weights; what is loaded is a whole one."""
STORED = 2
"""Bytes of a number in the catalogue's files, unless they are twice as large as a whole ControlNet: then it is in float32."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of the networks of a request."""

    text: int
    network: int
    vae: int
    controls: Mapping[str, int]
    """By ControlNet, each once."""
    additions: Additions = field(default_factory=Additions)
    float8: int = 0
    """Bytes of the network where its weights in float8 stay so, which they do where memory is short; 0 without such."""

    @property
    def weights(self) -> dict[str, int]:
        """As models.machine.ladder takes them."""
        denoiser = self.network + sum(self.controls.values()) + self.additions.network
        text = self.text + self.additions.text
        return {"text": text, "denoiser": denoiser, "vae": self.vae, "picture": self.additions.picture}


def expected_sizes(
    base: str,
    family: Family,
    controlnets: Iterable[str],
    value_bytes: int,
    loras: Iterable[str] = (),
    ip_adapter: str = "",
) -> Sizes:
    """Return the sizes of a base of a family and of what a request adds, by ids; `value_bytes` are those of a loaded number.

    Quantised weights count as they are stored, since they stay packed; all others in the format in which they are loaded.
    """
    sizes, packed = whole_sizes(parameters_of(base, family), value_bytes), _packed_bytes(base, family)
    distinct = {network_key(id): id for id in controlnets}
    return Sizes(
        text=packed.get("text", sizes.text),
        network=packed.get("network", sizes.network),
        vae=sizes.vae,
        controls={key: control_bytes(id, family, value_bytes) for key, id in distinct.items()},
        additions=expected_additions(family, loras, ip_adapter, value_bytes),
        float8=_float8_bytes(base, family, value_bytes),
    )


def whole_sizes(millions: Parameters, value_bytes: int) -> Sizes:
    """Return the sizes of networks that are not quantised, with one whole ControlNet."""
    counts = (millions.text_encoders, millions.network, millions.vae, millions.controlnet)
    text, network, vae, control = (round(1e6 * count * value_bytes) for count in counts)
    return Sizes(text, network, vae, {"": control})


def parameters_of(base: str, family: Family) -> Parameters:
    """Return the numbers in the networks of a base: those of its row, else as its configs or headers show them, else its family's."""
    row = row_of_base(base)
    known = (row and row.parameters) or FAMILIES[family].parameters
    folder = base_folder(base)
    return known if folder is None else _parameters_in(folder, family, known)


def _parameters_in(folder: Path, family: Family, like: Parameters) -> Parameters:
    """Return the numbers in the networks of a folder; those of `like` where neither configs nor headers tell them."""
    facts, index = FAMILIES[family], folder / INDEX
    network = network_numbers(facts, read_network_config(folder)) or _counted(folder / facts.network_folder)
    parts = [part for part in TEXT_ENCODERS if index.is_file() and class_name(read_json(index), part)]
    texts = [_encoder(folder / part) for part in parts]
    text = sum(filter(None, texts)) if texts and all(texts) else like.text_encoders
    return replace(like, network=network or like.network, text_encoders=text)


def _encoder(folder: Path) -> float | None:
    """Return the millions of numbers in a text encoder in a folder; None where its config does not tell."""
    return encoder_numbers(read_json(folder / CONFIG)) if (folder / CONFIG).is_file() else None


def _counted(folder: Path) -> float | None:
    """Return the millions of numbers in the tensors of a folder by their headers; None without such files, or with damaged ones."""
    files = list(folder.glob("*.safetensors"))
    chosen = [file for file in files if ".fp16." in file.name] or files
    if any(file_fault(file, file.suffix) for file in chosen):
        return None
    return sum(math.prod(shape) for file in chosen for shape in read_shapes(file).values()) / 1e6 or None


def network_key(controlnet: str) -> str:
    """Return a key that is the same for rows of one network, which is loaded once: a union has a row for each kind of map."""
    return next((row.shares or row.id for row in CATALOG if row.id == controlnet), controlnet)


def control_bytes(id: str, family: Family, value_bytes: int) -> int:
    """Return the bytes of a ControlNet or adapter: counted in its file, else by the size of its row, else those of a whole one."""
    whole = 1e6 * FAMILIES[family].parameters.controlnet
    try:
        found = resolve(id, "controlnet", family)
        shapes = _shapes(found)
    except (InputError, WeightsError):
        return round(whole * value_bytes)
    if shapes and not {LOW_RANK, DIFFERENCE} & shapes.keys():
        return value_bytes * sum(math.prod(shape) for shape in shapes.values())
    size = found.row.size if found.row and not shapes else None
    if size and not math.isclose(size, 2 * STORED * whole, rel_tol=0.01):
        return size * value_bytes // STORED
    return round(whole * value_bytes)


def is_four_bits(names: Iterable[str]) -> bool:
    """Return whether a file with tensors of these names holds weights in 4 bits."""
    return any(FOUR_BITS in name for name in names)


def _shapes(found: Resolved) -> dict[str, list[int]]:
    """Return the shapes of a ControlNet's tensors; none where it is not on this disk, or in a file without a header of them."""
    path = found.path
    if path is not None and path.is_dir():
        known = found.row.files if found.row else ()
        files = [place for file in known if (place := present(path, file))]
        path = next((file for file in files or sorted(path.iterdir()) if file.suffix == ".safetensors"), None)
    return read_shapes(path) if path is not None and path.suffix == ".safetensors" else {}


def _packed_bytes(base: str, family: Family) -> dict[str, int]:
    """Return the bytes of the parts of a base whose weights stay packed, as they lie on the disk."""
    try:
        path = resolve(base, "base").path
        if path is None:
            return {}
        if path.is_dir():
            return _packed_folders(path, family)
        is_packed = path.suffix == GGUF or (path.suffix == ".safetensors" and is_four_bits(read_shapes(path)))
    except (InputError, WeightsError):
        return {}
    return {"network": path.stat().st_size} if is_packed else {}


def _float8_bytes(base: str, family: Family, value_bytes: int) -> int:
    """Return the bytes of a network in a file whose weights in float8 stay so; 0 where none is in float8."""
    try:
        path = resolve(base, "base").path
        if path is None or not path.is_file() or path.suffix != ".safetensors" or not FAMILIES[family].network_marks:
            return 0
        formats, shapes = read_formats(path), read_shapes(path)
    except (InputError, WeightsError):
        return 0
    prefix = network_prefix(FAMILIES[family], shapes)
    if prefix is None or not any(name.startswith("F8") for name in formats.values()):
        return 0
    others = () if prefix else (*VAE_PREFIXES, "text_encoders.")
    own = [name for name in shapes if name.startswith(prefix) and not name.startswith(others)]
    narrow = {name for name in own if formats[name].startswith("F8") and len(shapes[name]) == 2}
    return sum(math.prod(shapes[name]) * (1 if name in narrow else value_bytes) for name in own)


def _packed_folders(path: Path, family: Family) -> dict[str, int]:
    parts = {"network": [path / FAMILIES[family].network_folder], "text": [path / name for name in TEXT_ENCODERS]}
    return {
        part: sum(file.stat().st_size for folder in folders for file in folder.glob("*.safetensors"))
        for part, folders in parts.items()
        if any(_is_packed(folder) for folder in folders)
    }


def _is_packed(folder: Path) -> bool:
    config = folder / CONFIG
    return config.is_file() and read_json(config).get("quantization_config") is not None
