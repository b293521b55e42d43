"""Base models as the page needs them: title, family, defaults; and the models that fit a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnet_app.registry.conditions import condition, own_controlnet
from cnet_app.settings import Settings
from models.catalogue.catalog import CATALOG, TITLES, Defaults, Family, Kind
from models.catalogue.fitting import fits
from models.catalogue.local import LocalFile, LocalKind, local_files
from models.catalogue.own import known_rows
from models.catalogue.resolve import base_defaults, row_of_base
from models.catalogue.row import Weights
from models.catalogue.weights import find_row
from models.environment import is_public
from models.families import FAMILIES, side_multiple

EMBEDDED = "embedded"
UNLISTED = Defaults(size=512, guidance_scale=7.5, num_inference_steps=30)
"""For a base model that is not in the catalogue."""
Choices = list[tuple[str, str]]
"""Titles and ids of a dropdown."""


@dataclass(frozen=True)
class Offer:
    """One dropdown of models: which kind it lists, and its first choice, which is none of them."""

    kind: Kind
    local: LocalKind | None
    nothing: str


def first_base(settings: Settings) -> str:
    """Return the base that the page assumes until it is known which one there is."""
    return settings.base or EMBEDDED


def family_of(base: str) -> Family | None:
    """Return the family of a base; None where neither the catalogue, nor the file, nor configs that are here state it."""
    file = next((file for file in local_files("base") if file.name == base), None)
    if file:
        return file.family
    return next((row.family for row in known_rows() if row.id == base), None) or _by_configs(base)[0]


def _by_configs(base: str) -> tuple[Family | None, Defaults]:
    """Return family and defaults of a folder or of a repository of the hub. Visitors of a public app see nothing of either."""
    return (
        (None, UNLISTED) if is_public() or any(base in (row.id, row.repo) for row in CATALOG) else base_defaults(base)
    )


def defaults_of(base: str) -> Defaults:
    """Return the size, guidance and steps of a base, or of its family."""
    rows = {row.id: row.defaults for row in known_rows() if row.kind == "base" and row.defaults}
    family, defaults = (None, UNLISTED) if base in rows else _by_configs(base)
    return defaults if family else next((rows[id] for id in (base, family_of(base)) if id in rows), UNLISTED)


def side_multiple_of(base: str) -> int:
    """Return what sides of pictures are multiples of, in px."""
    return side_multiple(family_of(base))


def title_of(base: str) -> str:
    """Return the title of a base; its id where the catalogue has none."""
    return next((row.title for row in known_rows() if row.id == base and row.kind == "base"), base)


def model_choices(offer: Offer, family: Family | None) -> Choices:
    """Return no choice at all, the user's own files, then the catalogue's rows with what would be downloaded.

    A model that is known to be made for another family is left out.
    """
    files = [file for file in (local_files(offer.local) if offer.local else []) if _fits(file, family)]
    own = [(f"{file.name} ({TITLES[file.family]})" if file.family else file.name, file.name) for file in files]
    rows = [row for row in known_rows() if row.kind == offer.kind and _fits(row, family)]
    listed = [(row.title + ("" if find_row(row) else f" ({row.size_words} to download)"), row.id) for row in rows]
    return [(offer.nothing, ""), *own, *listed]


def controlnet_choices(condition_id: str, family: Family | None, base: str = "") -> Choices:
    """Return the condition's own for the base, named by an empty id, the user's own files, then what else reads its maps."""
    if family and FAMILIES[family].references:
        return _reference_choices(condition_id, family)
    files = [file for file in local_files("controlnet") if _fits(file, family)]
    listed = [(f"{file.name} ({TITLES[file.family]})" if file.family else file.name, file.name) for file in files]
    own = {own_controlnet(condition_id, family, base)} if family else {*condition(condition_id).controlnets.values()}
    rows = [row for row in known_rows() if row.kind in ("controlnet", "adapter") and row.id not in own]
    fitting = [row for row in rows if condition_id in row.conditions or not row.conditions]
    listed += [(row.title, row.id) for row in fitting if _takes(base, row, family)]
    return [("None of this base's own" if own == {None} else "The condition's own", ""), *listed]


def control_blocks(condition_id: str, controlnet: str, base: str, family: Family | None) -> int | None:
    """Return the blocks that have a weight each of a ControlNet, or of the condition's own where the id is empty.

    None where neither its row, nor its file, nor the base's family shows the number.
    """
    if family is None:
        return None
    plain = FAMILIES[family].control_blocks
    id = controlnet or own_controlnet(condition_id, family, base)
    if file := next((file for file in local_files("controlnet") if file.name == id), None):
        return file.control_blocks or plain
    return next((row.blocks for row in known_rows() if row.id == id), None) or plain


def _reference_choices(condition_id: str, family: Family) -> Choices:
    """Return the map alone, named by an empty id, the user's own LoRAs, then those of the catalogue that read such maps."""
    files = [(file.name, file.name) for file in local_files("lora") if _fits(file, family)]
    rows = [row for row in known_rows() if row.kind == "lora" and condition_id in row.conditions and _fits(row, family)]
    return [("The map as it is", ""), *files, *((row.title, row.id) for row in rows)]


def _takes(base: str, row: Weights, family: Family | None) -> bool:
    """Return whether a base takes a ControlNet or adapter of the catalogue."""
    known = row_of_base(base) if family else None
    return _fits(row, family) and (known is None or known.family_controlnets)


def _fits(thing: Weights | LocalFile, family: Family | None) -> bool:
    """On a base whose family is not known everything may fit."""
    return family is None or fits(thing, family)


OFFERS: Mapping[str, Offer] = {
    "base": Offer("base", "base", "The best for this machine"),
    "vae": Offer("vae", "vae", "The model's own"),
    "lora": Offer("lora", "lora", "None"),
    "ip_adapter": Offer("ip_adapter", None, "Off"),
}
"""By field."""
