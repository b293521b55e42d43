"""A preview of the picture that a running job leads to: a small RGB image that costs next to nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from annotators.base import Image
from cnet_app.diffusion.backbones.base import Backbone
from cnet_app.diffusion.pixels import to_pixels


def preview(backbone: Backbone, original: Tensor) -> Image:
    """(1, C, h, w) noise-free latents to an (h', w', 3) picture: at latent size by the family's linear map, else decoded."""
    linear = backbone.facts.preview
    with torch.inference_mode():
        if linear is None:
            return to_pixels(backbone.decode(original))
        rows = torch.tensor(linear, device=original.device)
        image = torch.einsum("bchw,cr->brhw", original.float(), rows[:-1]) + rows[-1][:, None, None]
        return to_pixels(image)
