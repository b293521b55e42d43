"""The files behind a name: where they are on this disk, and which rows of the catalogue have to be downloaded first.

Loading never downloads. Whoever loads something resolves it, downloads what `missing` returns where the user agrees, and
resolves again: a repository of the hub that is no row of the catalogue shows its parts, or its family, only in a config
that has to be there first. Loads no torch, so that a form can show the settings of a base model.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from models.catalogue.catalog import CATALOG, File, Kind, Weights, entry, hub_entry
from models.catalogue.fitting import check_fit, fits, made_for
from models.catalogue.hub_bases import base_row, config_row, similar_row
from models.catalogue.inner_parts import inner_parts
from models.catalogue.local import LocalFile, adapter_files, check_kind, find_local, local_files, network_files
from models.catalogue.own import HUB_ID, known_rows, own_rows
from models.catalogue.places import present
from models.catalogue.weights import find_row, require_row
from models.configs import (
    CONFIG,
    INDEX,
    NETWORK_FOLDERS,
    check_parts,
    controlnet_family,
    is_distilled,
    read_base_family,
    read_controlnet_config,
    read_json,
    read_network_config,
    read_sample_size,
    wrong_family,
)
from models.errors import InputError, MissingError, WeightsError
from models.families import FAMILIES, TITLES, require
from models.family_facts import Capability, Defaults, Family
from models.files import check_file, quoted, read_shapes, stamp
from models.layouts.gguf_files import GGUF, names_in, unknown_file
from models.names import did_you_mean

NamedKind = Literal["base", "vae", "controlnet", "lora", "ip_adapter"]
"""Kinds that a request names; a T2I-Adapter is named like a ControlNet."""
UNKNOWN_DEFAULTS = Defaults(size=512, guidance_scale=7.5, num_inference_steps=30)
"""For a base model of which nothing is known yet."""
SCALES: Mapping[str, float] = MappingProxyType(
    {row.id: row.conditioning_scale for row in CATALOG if row.conditioning_scale is not None}
)
"""Control strength to start with, by row."""
CLIP_TOKENIZER = "clip_tokenizer"
SAFETENSORS = ".safetensors"
IMAGE_ENCODER = "image_encoder"
"""Folder of an IP-Adapter's image encoder, next to the adapter's file."""
ALLOWED: Mapping[NamedKind, str] = MappingProxyType(
    {
        "base": "give a file, a folder in diffusers format, owner/name on the hub",
        "vae": "give a file, a folder in diffusers format, owner/name on the hub",
        "controlnet": "give a file, a folder in diffusers format, owner/name on the hub",
        "lora": "put its file into models/loras",
        "ip_adapter": f"give a .safetensors file with the folder {IMAGE_ENCODER} beside it",
    }
)
"""Names accepted for a kind, besides ids of the catalogue."""
KIND_NAMES: Mapping[NamedKind, str] = MappingProxyType(
    {"base": "base", "vae": "vae", "controlnet": "controlnet", "lora": "LoRA", "ip_adapter": "IP-Adapter"}
)
CAPABILITIES: Mapping[NamedKind, Capability] = MappingProxyType({"lora": "loras", "ip_adapter": "ip_adapters"})
"""Kinds that a family may not take at all, each with the capability that it lacks then."""


@dataclass(frozen=True)
class Resolved:
    """A resolved name: its files on this disk at the time of the lookup."""

    id: str
    kind: NamedKind
    row: Weights | None = None
    """The catalogue's or the user's row, or one made up for a repository of the hub; None for the user's own files."""
    path: Path | None = None
    """The file, or the folder in diffusers format; None where files are missing."""
    rows: tuple[Weights, ...] = ()
    """Rows whose files must be on this disk."""
    family: Family | None = None
    """As far as row, config or header tell."""
    defaults: Defaults = UNKNOWN_DEFAULTS
    """Settings that a base model starts with, as far as row, config or header tell."""

    def require(self) -> Path:
        """Return the path. Raises MissingError, which names files, sizes and where to put them, or DamagedError."""
        for row in self.rows:
            require_row(row)
        if self.path is None:
            raise MissingError(f"{self.id} is not on this disk yet; resolve it again after its download.")
        return self.path


def missing(resolved: Resolved) -> tuple[Weights, ...]:
    """Return the rows to download before `resolved` can be loaded, each with its files, sizes and licence.

    Once these are here more may show, so that whoever downloads resolves again until there is nothing left.
    """
    return tuple(row for row in resolved.rows if find_row(row) is None)


def resolve(id: str, kind: NamedKind, family: Family | None = None) -> Resolved:
    """Return what a name means: an id of the catalogue, a dropped file, a file, a folder, or owner/name on the hub.

    Raises InputError for an unknown name, and for what shows without its weights that it does not fit `family`; DamagedError
    for a file whose header shows it.
    """
    if family and kind in CAPABILITIES:
        require(FAMILIES[family], CAPABILITIES[kind], f"{KIND_NAMES[kind]} {id}")
    if file := _own_file(id, kind):
        if file.is_dir():
            return _of_folder(Resolved(id, kind, path=file), family)
        return _of_file(id, kind, file, family)
    if row := _catalogue_row(id, kind):
        return _of_row(id, kind, row, family)
    if kind in ("base", "vae", "controlnet"):
        if Path(id).is_dir():
            return _of_folder(Resolved(id, kind, path=Path(id)), family)
        if HUB_ID.fullmatch(id):
            return _of_hub(id, kind, family)
    ids = [row.id for row in CATALOG if row.kind == kind]
    known = [*(file.name for file in local_files("lora")), *ids] if kind == "lora" else ids
    one_of = f", or {'name ' * (kind == 'lora')}one of: {', '.join(known)}" if known else ""
    raise InputError(f"There is no {KIND_NAMES[kind]} {quoted(id)}{did_you_mean(id, known)}; {ALLOWED[kind]}{one_of}.")


def base_defaults(id: str) -> tuple[Family | None, Defaults]:
    """Return the family of a base model, None where nothing tells it yet, and the settings to start with.

    Reads configs and headers alone, and raises nothing: whether the model can be loaded shows when it is.
    """
    try:
        found = resolve(id, "base")
    except (InputError, WeightsError):
        return None, UNKNOWN_DEFAULTS
    return found.family, found.defaults


def start_conditioning_scale(controlnet: str, base: str, family: Family | None) -> float:
    """Return the control strength that a unit starts with: its ControlNet's, else its base's, else the family's."""
    plain = FAMILIES[family].conditioning_scale if family else 1.0
    return SCALES.get(controlnet, SCALES.get(base, plain))


def expected_bytes(id: str) -> int:
    """Return the size of a row; 0 where it is no row, or its size is unknown."""
    return next((row.size or 0 for row in known_rows() if row.id == id), 0)


def download_steps(id: str) -> Iterator[Weights]:
    """Yield the rows to download for an id of the catalogue or of the hub, each when the one before is on this disk.

    Raises InputError for an unknown id, and for a repository that holds nothing this app can load.
    """
    row = next((row for row in reversed(known_rows()) if row.id == id), None)
    if row is None and not HUB_ID.fullmatch(id):
        raise InputError(f"There are no weights {quoted(id)}; give an id of the catalogue, or owner/name on the hub.")
    if row is None:
        either = File(INDEX, 0, others=(CONFIG,))  # a base model has an index, every other network a config
        start = replace(hub_entry(id, "controlnet"), files=(either,))
        if find_row(start) is None:
            yield start
        row = hub_entry(id, "base" if present(require_row(start), File(INDEX)) else "controlnet")
    if row.kind == "base" and row not in CATALOG:
        # The parts, then their configs, then files, which may be the lists of those that networks are cut into.
        while needed := missing(resolve(id, "base")):
            for one in needed:
                yield one
                require_row(one)
    elif find_row(row) is None:
        yield row


def _own_file(id: str, kind: NamedKind) -> Path | None:
    """A dropped file by its name, or a file by its path. The catalogue's names go first, except for LoRAs."""
    given = Path(id)
    if kind == "ip_adapter":
        return given if given.suffix == SAFETENSORS and given.is_file() else None
    if kind == "lora":
        by_stem = {file.path.stem: file.path for file in local_files("lora")}
        return find_local("lora", id) or by_stem.get(id) or (given if given.is_file() or adapter_files(given) else None)
    if any(id in (row.id, row.repo) for row in CATALOG):
        return None
    found = find_local(kind, id) or (given if given.is_file() else None)
    if found is not None and kind == "controlnet" and found.is_dir() and not (found / CONFIG).is_file():
        return network_files(found)[0]
    return found


def _catalogue_row(id: str, kind: NamedKind) -> Weights | None:
    """By id, or by a repository that has one row; a T2I-Adapter may stand wherever a ControlNet does."""
    kinds: tuple[Kind, ...] = (kind, "adapter") if kind == "controlnet" else (kind,)
    by_repo = kind not in ("lora", "ip_adapter")
    found = [row for row in CATALOG if (row.id == id or (by_repo and row.repo == id)) and row.kind in kinds]
    if len(found) > 1:
        raise InputError(
            f"{id} reads several kinds of maps; name one of its rows: {', '.join(row.id for row in found)}."
        )
    return found[0] if found else None


def _of_file(id: str, kind: NamedKind, path: Path, expected: Family | None) -> Resolved:
    """A base of one file needs CLIP's vocabulary, out of any base that is here; one of its network alone all other parts.

    A damaged file is refused, and a base that no download completes: before anything else of a request is downloaded.
    """
    if kind == "ip_adapter":
        check_file(path)
        return Resolved(id, kind, path=path)
    file = LocalFile(path, kind)
    check_file(file.tensors)
    family = file.family
    if kind == "controlnet" and family and expected and not fits(file, expected):
        raise InputError(
            f"{path.name} is a ControlNet for {TITLES[family]}, but the base is {TITLES[expected]}; choose one for that."
        )
    rows: tuple[Weights, ...] = ()
    defaults = FAMILIES[family].defaults if family else UNKNOWN_DEFAULTS
    if kind == "base" and family and FAMILIES[family].network_marks:
        rows = (other_parts(family, path),)
        defaults = _row_defaults(rows[0])
    elif kind == "base" and family is None and path.suffix == GGUF:
        raise unknown_file(path)
    elif kind == "base" and tokenizer_folder() is None and _may_be_whole(path, family):
        rows = (entry(CLIP_TOKENIZER),)
    return Resolved(id, kind, None, path, rows, family, defaults)


def _may_be_whole(path: Path, family: Family | None) -> bool:
    """Return whether a file may be a base that lacks nothing but CLIP's vocabulary; the names in a pickle are not read here.

    InputError where it is a file of another kind.
    """
    if family or path.suffix != SAFETENSORS:
        return True
    check_kind(path, read_shapes(path), "base")
    return False  # its own faults come first, when it is loaded


def other_parts(family: Family, file: Path | None = None) -> Weights:
    """Return the row of the family's own base, without the tensors of the network and of other parts that a file brings.

    A family may have another base for networks of another size, or for those that do not read guidance_scale.
    """
    marks = FAMILIES[family].base_by_tensor
    names = _names_in(file, stamp(file)) if file else frozenset[str]()
    ids = (id for end, id in marks if any(name.endswith(end) for name in names))
    row = entry(next(ids, family))
    brought = (FAMILIES[family].network_folder, *(inner_parts_of(file, family) if file else ()))
    kept = (
        file for file in row.files if file.name.partition("/")[0] not in brought or file.name.endswith(f"/{CONFIG}")
    )
    return replace(row, files=tuple(kept))


def inner_parts_of(file: Path, family: Family) -> dict[str, str]:
    """Return the folders of a base whose weights a file of its network has too, with the prefix of their tensors there."""
    return inner_parts(family, tensor_names(file)) if file.suffix == SAFETENSORS else {}


def row_of_base(id: str) -> Weights | None:
    """Return the catalogue's row of a base, or of the one that completes a file of the network alone.

    Of a folder, and of a repository of the hub whose configs are here, it is the row of the base with such a network; None for
    all others.
    """
    if (file := _own_file(id, "base")) and file.is_file():
        family = LocalFile(file, "base").family
        return other_parts(family, file) if family and FAMILIES[family].network_marks else None
    if row := _catalogue_row(id, "base"):
        return row
    folder = base_folder(id)
    return similar_row(read_network_config(folder)) if folder else None


def base_folder(id: str) -> Path | None:
    """Return the folder of a base that is no row of the catalogue, where its network's config is in it; else None."""
    given = _own_file(id, "base") or Path(id)
    if any(id in (row.id, row.repo) for row in CATALOG):
        return None
    if not given.is_dir() and HUB_ID.fullmatch(id):
        first, *others = (f"{folder}/{CONFIG}" for folder in NETWORK_FOLDERS)
        return find_row(replace(hub_entry(id, "base"), files=(File(first, 0, others=tuple(others)),)))
    return given if any((given / folder / CONFIG).is_file() for folder in NETWORK_FOLDERS) else None


def tensor_names(file: Path) -> frozenset[str]:
    """Return the names of the tensors in a .safetensors or GGUF file."""
    return _names_in(file, stamp(file))


@lru_cache(maxsize=100)
def _names_in(file: Path, stamped: Hashable) -> frozenset[str]:
    """The stamp makes a replaced file another key."""
    return names_in(file) if file.suffix == GGUF else frozenset(read_shapes(file))


def tokenizer_folder() -> Path | None:
    """Return the folder of CLIP's vocabulary: that of a base on this disk, else the tokenizer's own; None without both."""
    bases = (find_row(entry(row.id)) for row in FAMILIES.values() if row.one_file)
    return next((base / "tokenizer" for base in bases if base), None) or find_row(entry(CLIP_TOKENIZER))


def _of_row(id: str, kind: NamedKind, row: Weights, family: Family | None) -> Resolved:
    _check_row(kind, row, family)
    folder = find_row(row)
    found = Resolved(id, kind, row, None, (row,), row.family, _row_defaults(row))
    if folder is None:
        return found
    if kind in ("lora", "ip_adapter") or (kind == "controlnet" and not _has_config(row)):
        return replace(found, path=present(folder, row.files[0]))
    return _of_folder(replace(found, path=folder), family)


def _row_defaults(row: Weights) -> Defaults:
    return row.defaults or (FAMILIES[row.family].defaults if row.family else UNKNOWN_DEFAULTS)


def _check_row(kind: NamedKind, row: Weights, family: Family | None) -> None:
    if family is None or fits(row, family):
        return
    made = made_for(row)[0]
    if kind == "controlnet":
        raise wrong_family(row.title, made, family)
    if kind == "ip_adapter":
        raise InputError(
            f"{row.title} was made for {TITLES[made]} and does not fit {TITLES[family]}; "
            f"choose an IP-Adapter for {TITLES[family]}."
        )
    check_fit(row, family)


def _has_config(row: Weights) -> bool:
    return any(file.name == CONFIG for file in row.files)


def _of_folder(found: Resolved, family: Family | None) -> Resolved:
    """With what its configs tell."""
    folder = found.path
    assert folder is not None
    if found.kind == "controlnet":
        own = controlnet_family(read_controlnet_config(found.id, folder / CONFIG, family))
        return replace(found, family=own)
    if found.kind != "base":
        return found
    own = read_base_family(found.id, folder)
    return replace(found, family=own, defaults=_folder_defaults(own, folder))


def _folder_defaults(family: Family, folder: Path) -> Defaults:
    """Return the settings of a base in a folder: those of the catalogue's base with such a network, at the size of its config."""
    facts, side = FAMILIES[family], read_sample_size(folder)
    row = similar_row(read_network_config(folder))
    defaults = _row_defaults(row) if row else facts.defaults
    if facts.undistilled and not is_distilled(read_json(folder / INDEX)):
        defaults = facts.undistilled
    return replace(defaults, size=side * facts.latent_reduction) if side else defaults


def _of_hub(id: str, kind: NamedKind, family: Family | None) -> Resolved:
    """A repository that is no row of the catalogue: first its config, then what that names."""
    noted = next((row for row in own_rows() if row.repo == id and row.kind in (kind, "adapter")), None)
    row = noted or hub_entry(id, kind)
    first = File(INDEX if kind == "base" else CONFIG, 0)
    start = replace(row, files=(first,))
    folder = find_row(start)
    found = Resolved(id, kind, row, None, (start,), row.family, _row_defaults(row))
    if kind == "vae":
        found = replace(found, rows=(row,))
    elif folder is None:
        return found
    elif kind == "controlnet":
        read_controlnet_config(id, folder / CONFIG, family)
        found = replace(found, rows=(row,))
    else:
        configs = config_row(id, folder)
        small = find_row(configs)
        if small is None:
            return replace(found, rows=(configs,))
        own = read_base_family(id, small)
        check_parts(id, read_json(small / INDEX), own)
        row = replace(base_row(id, small), family=own)
        found = replace(found, row=row, rows=(row,), family=own, defaults=_folder_defaults(own, small))
    whole = find_row(row)
    return found if whole is None else _of_folder(replace(found, path=whole), family)
