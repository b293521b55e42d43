"""The ladder of ways to run in less memory, and the bytes that each needs. Loads no torch.

No rung changes the picture's size or seed. They cost time, the tiled autoencoder also a faint difference in tone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

VALUES_PER_PIXEL_DECODED, VALUES_PER_PIXEL_DENOISED = 1000, 400
"""Numbers in memory at once, over the pixels of the picture. Measured on full-size Stable Diffusion 1.5: the autoencoder's
decoder at 256 to 768 px, the U-Net at 256 and 512 px with both sides of guidance."""
TILE, STEP = 512, 8
"""Side of a tile in px, instead of the config's; pixels to a latent."""
RESERVE = 300_000_000
"""Bytes left to the device itself."""


@dataclass(frozen=True)
class Rung:
    """One step of the ladder."""

    id: str
    message: str
    """A sentence for the user; empty where nothing is given up."""
    tiles_vae: bool = True
    encoders_rest: bool = True
    """Text encoders wait in the computer's memory. A new prompt brings them to the device, from which the U-Net and the
    ControlNets leave for that time where both do not fit."""
    rests_on_cpu: bool = False
    """Networks wait in the computer's memory and come to the device one stage at a time: text, U-Net with ControlNets, autoencoder."""
    layer_by_layer: bool = False
    """U-Net and ControlNets come to the device a layer at a time."""


LADDER = (
    Rung("full", "", tiles_vae=False, encoders_rest=False),
    Rung(
        "text_offload",
        "Memory is short: text encoders wait in the computer's memory, so that a new prompt takes longer.",
        tiles_vae=False,
    ),
    Rung("tiled_vae", "Memory is short: the autoencoder works in tiles."),
    Rung("model_offload", "Memory is short: networks wait in the computer's memory, which takes longer.", rests_on_cpu=True),
    Rung(
        "sequential_offload",
        "Memory is very short: layers come to the device one by one, which takes much longer.",
        rests_on_cpu=True,
        layer_by_layer=True,
    ),
)  # fmt: skip
CPU_LADDER = (LADDER[0], replace(LADDER[2], encoders_rest=False))
"""That of the device "cpu", on which nothing is gained by waiting in the computer's memory."""


def next_rung(rung: Rung, device: str) -> Rung | None:
    """Return the rung below; None at the end."""
    ladder = CPU_LADDER if device == "cpu" else LADDER
    below = ladder[[other.id for other in ladder].index(rung.id) + 1 :]
    return next(iter(below), None)


def choose_rung(
    device: str, free: int, weights: Mapping[str, int], pixels: int, value_bytes: int, maps: int = 0
) -> Rung:
    """Return the first rung that fits into `free` bytes of the device; the last where none does.

    `weights` are bytes of "text", "denoiser" (U-Net and ControlNets), "vae", and perhaps of "picture", an image prompt's networks,
    which never move; `pixels` those of the picture. `maps` is the number of control maps that the base itself reads as further tokens.
    """
    rung = LADDER[0]
    while needed_bytes(rung, weights, pixels, value_bytes, maps) + RESERVE > free:
        below = next_rung(rung, device)
        if below is None:
            break
        rung = below
    return rung


def needed_bytes(rung: Rung, weights: Mapping[str, int], pixels: int, value_bytes: int, maps: int = 0) -> int:
    """Return the most bytes of the device that are in use at once; parameters as of `choose_rung`."""
    return weights.get("picture", 0) + _moving_bytes(rung, weights, pixels, value_bytes, maps)


def _moving_bytes(rung: Rung, weights: Mapping[str, int], pixels: int, value_bytes: int, maps: int) -> int:
    """Return those of what a rung may move."""
    decoded = min(pixels, TILE**2) if rung.tiles_vae else pixels
    decoding = decoded * VALUES_PER_PIXEL_DECODED * value_bytes
    denoising = (1 + maps) * pixels * VALUES_PER_PIXEL_DENOISED * value_bytes
    if not rung.rests_on_cpu:
        staying = weights["denoiser"] + weights["vae"] + max(decoding, denoising)
        return max(staying, weights["text"] + weights["vae"]) if rung.encoders_rest else staying + weights["text"]
    denoiser = 0 if rung.layer_by_layer else weights["denoiser"]
    return max(weights["text"], denoiser + denoising, weights["vae"] + decoding)
