"""IP-Adapters: image prompts. Attention layers of their own read the encoded picture, next to those for words.

A plain adapter reads the picture's embedding, a "plus" one the image encoder's patches, which keep far more detail.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.catalogue.resolve import IMAGE_ENCODER, resolve
from models.catalogue.weights import check_file, read_shapes, short
from models.errors import DamagedError, InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, TITLES, require
from models.modules import READ_FAULTS, load_network

if TYPE_CHECKING:
    from models.loader import Base

FIRST_LAYER = "ip_adapter.1.to_k_ip.weight"
PLAIN, PLUS = "image_proj.proj.weight", "image_proj.latents"
"""A tensor of each of the two kinds; adapters for faces have neither."""


@dataclass(frozen=True)
class IpAdapter:
    """A loaded adapter for one base, with its image encoder. It does not change the base."""

    attention: Mapping[str, Any]
    """Attention processors for words and image prompt, by their names in the U-Net."""
    projection: nn.Module
    """Turns the encoded picture into tokens."""
    image_encoder: Any
    plus: bool


def load_ip_adapter(id: str, base: Base) -> IpAdapter:
    """Load an adapter for this base by catalogue id, or from a .safetensors file with the folder `image_encoder` next to it.

    One for another family is refused before its tensors are read. Raises InputError and WeightsError.
    """
    from transformers import CLIPVisionModelWithProjection

    require(FAMILIES[base.family], "ip_adapters", f"IP-Adapter {id}")
    file = resolve(id, "ip_adapter", base.family).require()
    check_file(file)
    shapes = read_shapes(file)
    plus = _check(id, shapes, base)
    encoder = load_network(CLIPVisionModelWithProjection, file.parent / IMAGE_ENCODER, base.dtype, base.device)
    given = encoder.config.hidden_size if plus else encoder.config.projection_dim
    wanted = shapes.get("image_proj.proj_in.weight" if plus else PLAIN, [0, 0])[1]
    if given != wanted:
        raise InputError(
            f"{id} reads {wanted} numbers from its image encoder, but the one in {short(file.parent / IMAGE_ENCODER)} gives "
            f"{given}; put the adapter's own there."
        )
    try:
        attention, projection = _modules(file, base)
    except READ_FAULTS as error:
        raise DamagedError(
            f"{file.name} in {short(file.parent)} cannot be used: its tensors do not fit {base.id}; get another file."
        ) from error
    if not all(
        bool(torch.isfinite(weight).all()) for part in (*attention.values(), projection) for weight in part.parameters()
    ):
        raise DamagedError(
            f"{file.name} in {short(file.parent)} cannot be used: some of its numbers are not finite; get another file."
        )
    return IpAdapter(attention, projection, encoder, plus)


def image_embeds(adapter: IpAdapter, pixels: NDArray[np.uint8]) -> Tensor:
    """Encode the centre square of a picture, (H, W, 3) RGB: (2, 1, …) as the U-Net reads it, the unconditional side first."""
    from transformers import CLIPImageProcessor

    encoder = adapter.image_encoder
    side = encoder.config.image_size
    processor: Any = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    picture = processor(pixels, return_tensors="pt").pixel_values.to(encoder.device, encoder.dtype)
    if adapter.plus:
        # The last layer but one, and for no picture that of a grey one: as the adapters were trained.
        return encoder(torch.cat([torch.zeros_like(picture), picture]), output_hidden_states=True).hidden_states[-2][
            :, None
        ]
    embedding = encoder(picture).image_embeds
    return torch.stack([torch.zeros_like(embedding), embedding])


@contextmanager
def use_ip_adapter(base: Base, adapter: IpAdapter | None, scale: float) -> Generator[None]:
    """Let the base read the image prompt at this strength while the block runs. None changes nothing."""
    if adapter is None:
        yield
        return
    unet = base.network
    before: dict[str, Any] = dict(unet.attn_processors)
    hidden, kind = unet.encoder_hid_proj, unet.config.encoder_hid_dim_type
    for layer in adapter.attention.values():
        layer.scale = [scale]
    try:
        unet.set_attn_processor(before | dict(adapter.attention))
        unet.encoder_hid_proj = adapter.projection
        unet.config.encoder_hid_dim_type = "ip_image_proj"
        yield
    finally:
        # First the projection: a plus one has attention layers of its own, which would be counted among the U-Net's.
        del unet.encoder_hid_proj  # else the empty place of a module would stay
        unet.encoder_hid_proj = hidden
        unet.config.encoder_hid_dim_type = kind
        unet.set_attn_processor(before)


def _check(id: str, shapes: Mapping[str, list[int]], base: Base) -> bool:
    """Return whether the adapter is a plus one; InputError where it is neither kind, or made for another base."""
    if FIRST_LAYER not in shapes or not {PLAIN, PLUS} & set(shapes):
        raise InputError(f"{id} is no IP-Adapter for whole pictures, plain or plus; choose one of those.")
    width = shapes[FIRST_LAYER][1]
    if width != base.network.config["cross_attention_dim"]:
        family = FAMILY_BY_WIDTH.get(width)
        raise _misfit(id, f"for {TITLES[family]}" if family else f"for a base with {width} numbers a word", base)
    return PLUS in shapes


def _misfit(title: str, made: str, base: Base) -> InputError:
    return InputError(
        f"{title} was made {made} and does not fit {TITLES[base.family]}; choose an IP-Adapter for {TITLES[base.family]}."
    )


def _modules(file: Path, base: Base) -> tuple[dict[str, nn.Module], nn.Module]:
    """Return attention layers and projection, by diffusers' own conversion."""
    from diffusers.models.embeddings import MultiIPAdapterImageProjection
    from safetensors.torch import load_file

    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(file).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    unet = base.network
    convert_attention = unet._convert_ip_adapter_attn_to_diffusers  # noqa: SLF001 - it has no public door
    convert_projection = unet._convert_ip_adapter_image_proj_to_diffusers  # noqa: SLF001
    converted = convert_attention([parts], low_cpu_mem_usage=False)
    attention = {name: layer for name, layer in converted.items() if isinstance(layer, nn.Module)}
    projection = MultiIPAdapterImageProjection([convert_projection(parts["image_proj"], low_cpu_mem_usage=False)])
    for module in (*attention.values(), projection):
        nn.Module.to(module.eval().requires_grad_(False), base.device, base.dtype)
    return attention, projection
