"""Names of a base's layers in LoRA files: every spelling of every layer, derived from the base itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from models.catalogue.row import TEXT_ENCODERS
from models.families import FAMILIES
from models.family_facts import FamilyFacts

if TYPE_CHECKING:
    from models.loader import Base

Place = tuple[str, str]
"""Part of a base (`unet`, or one of TEXT_ENCODERS) and name of a layer in it."""
ORIGINAL_ENDS = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ORIGINAL_EDGES = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
"""Names of a U-Net's layers in diffusers to those of the original code, inside the blocks and around them."""


def parts(base: Base) -> dict[str, Any]:
    """Return the networks that a LoRA may change."""
    return {"unet": base.network} | dict(zip(TEXT_ENCODERS, base.text_encoders, strict=False))


def spellings(base: Base) -> dict[str, tuple[Place, ...]]:
    """Return every name that a file may use for a layer, with the layer's place; layers that the authors fused have several."""
    facts = FAMILIES[base.family]
    found: dict[str, tuple[Place, ...]] = {}
    for part, network in parts(base).items():
        for name, _ in network.named_modules():
            if part != "unet":
                spelled = _encoder_spellings(part, name)
            elif facts.backbone == "unet":
                spelled = _unet_spellings(base.network, name)
            else:
                spelled = _transformer_spellings(name)
            found |= dict.fromkeys(spelled, ((part, name),))
    names = dict(base.network.named_modules())
    for original, own in _original_layers(facts, names):
        found |= dict.fromkeys(_transformer_spellings(original), tuple(("unet", name) for name in own))
    return found


def _original_layers(facts: FamilyFacts, names: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield names of layers in the authors' code, with those that diffusers has for each."""
    for original, own in facts.original_layers:
        inner = re.escape(own[0]).replace(re.escape("{}"), r"(\d+)")
        first = re.compile(rf"(.*\.)?{inner}(\..*)?")
        for name in names:
            if match := first.fullmatch(name):
                stem, *numbers, rest = match.groups(default="")
                around = [f"{stem}{one.format(*numbers)}{rest}" for one in (original, *own)]
                yield around[0], tuple(around[1:])


def _transformer_spellings(name: str) -> Iterator[str]:
    yield from (name, f"transformer.{name}", f"diffusion_model.{name}")
    yield from (_kohya("lora_unet", name), _kohya("lora_transformer", name))


def _unet_spellings(unet: Any, name: str) -> Iterator[str]:
    yield from (name, f"unet.{name}", _kohya("lora_unet", name))
    if original := original_name(unet, name):
        yield _kohya("lora_unet", original)


def _encoder_spellings(part: str, name: str) -> Iterator[str]:
    # Some versions of the library keep the transformer one level deeper than others.
    bare = name.removeprefix("text_model.")
    number = TEXT_ENCODERS.index(part) + 1
    for spelled in (bare, f"text_model.{bare}"):
        yield f"{part}.{spelled}"
        for prefix in ("lora_te", "lora_te1") if number == 1 else (f"lora_te{number}",):
            yield _kohya(prefix, spelled)


def _kohya(prefix: str, name: str) -> str:
    return f"{prefix}_{name.replace('.', '_')}"


def original_name(unet: Any, name: str) -> str | None:
    """Return a U-Net layer's name in the original code, which numbers all blocks of a side in a row; None where it has none."""
    if name in ORIGINAL_EDGES:
        return ORIGINAL_EDGES[name]
    match = re.fullmatch(r"(down|mid|up)_block(?:s\.(\d+))?\.(\w+)\.(\d+)\.(.+)", name)
    if not match:
        return None
    side, kind, rest = match[1], match[3], ORIGINAL_ENDS.get(match[5], match[5])
    level, number = int(match[2] or 0), int(match[4])
    if side == "mid":
        return f"middle_block.{2 * number if kind == 'resnets' else 1}.{rest}"
    row = unet.config.layers_per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{row * (level + 1)}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{row * (level + 1) - 1}.{2 if hasattr(unet.up_blocks[level], 'attentions') else 1}.conv"
    before = "input_blocks" if side == "down" else "output_blocks"
    place = row * level + number + (side == "down")
    return f"{before}.{place}.{int(kind == 'attentions')}.{rest}"
