"""The latents of a data set: encoded once, stored with a checksum, and never used for another encoder or other pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from cnet_app.embedded.train.checkpoints import save_whole, weights_key
from cnet_app.embedded.train.common import half_where_fast
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.stages.autoencoder import LATENT_CHANNELS, encode, to_tensor

Latents = NDArray[np.float16]
"""(N, 16, h, w)."""
NAME = "latents"


def encoder_key(vae: AutoencoderTiny) -> str:
    """Return a hash of the encoder's weights; the decoder does not change latents."""
    return weights_key(vae.encoder)


def dataset_latents(vae: AutoencoderTiny, dataset: Dataset, path: Path, batch_size: int = 32) -> Latents:
    """Return all latents of a data set, from the file at `path` or encoded on the autoencoder's device and stored there.

    The file is replaced where it belongs to another encoder or other pictures, or is damaged.
    """
    owner = {"encoder": encoder_key(vae), "data": dataset.key}
    if path.exists():
        try:
            return _read(path, owner)
        except (SafetensorError, OSError, ValueError) as error:
            print(f"{path} is not used ({error}); the pictures are encoded again.", flush=True)
    latents = _encode(vae, dataset, batch_size)
    metadata = owner | {"sha256": _checksum(latents)}
    save_whole(path, lambda temporary: save_file({NAME: latents}, temporary, metadata))
    return latents


def _read(path: Path, owner: dict[str, str]) -> Latents:
    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        for name, value in owner.items():
            if metadata.get(name) != value:
                raise ValueError(f"it was made from other {'pictures' if name == 'data' else 'encoder weights'}")
        latents: Latents = file.get_tensor(NAME)
    if _checksum(latents) != metadata.get("sha256"):
        raise ValueError("its checksum is wrong")
    return latents


def _checksum(latents: Latents) -> str:
    return hashlib.sha256(np.ascontiguousarray(latents).data).hexdigest()


@torch.inference_mode()
def _encode(vae: AutoencoderTiny, dataset: Dataset, batch_size: int) -> Latents:
    side, device = dataset.images.shape[1] // 8, vae.device
    latents = np.empty((len(dataset), LATENT_CHANNELS, side, side), np.float16)
    for start in range(0, len(dataset), batch_size):
        images = to_tensor(dataset.images[start : start + batch_size]).to(device)
        with half_where_fast(device.type):
            latents[start : start + batch_size] = encode(vae, images).float().cpu().numpy()
    return latents
