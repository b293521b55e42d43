"""SceneNet: one small network that estimates depth, normals, classes, joints and soft edges of a picture.

It is trained on procedural scenes only (cnet_app/embedded/world), and lets these conditions work without a download.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SEGMENTS: tuple[int, ...] = (12, 3, 2, 0, 119, 41, 42, 132, -1)
"""ADE20K index of each class channel: person, floor, sky, wall, ball, box, column, sculpture, and -1, any other."""
JOINTS = 18
HEAT_STRIDE = 4
"""Pixels of the picture in a cell of the joints' heat maps."""
HEAT_SIGMA = 1.5
"""Standard deviation of a joint's bell in its heat map, in cells."""
MULTIPLE = 32
"""Sides of the picture are multiples of this."""
WEIGHTS_NAME = "model.safetensors"


class SceneMaps(NamedTuple):
    """Output for a batch of pictures (B, 3, H, W). Logits become probabilities by softmax (classes) or sigmoid."""

    depth: Tensor
    """(B, 1, H, W) inverse depth in [0, 1], near is 1."""
    normal: Tensor
    """(B, 3, H, W) unit vectors: x right, y up, z to the viewer."""
    segmentation: Tensor
    """(B, len(SEGMENTS), H, W) logits."""
    pose: Tensor
    """(B, 18, H / 4, W / 4) logits of the joints' heat maps."""
    softedge: Tensor
    """(B, 1, H, W) logits."""


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(min(8, in_channels // 4), in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(min(8, out_channels // 4), out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(functional.silu(self.norm2(h)))


class SceneNet(nn.Module):
    """A U-Net from half resolution down to 1/32, whose dense maps have 2x2 pixels in a cell of half resolution."""

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.stem = nn.Conv2d(3, channels[0], 4, stride=2, padding=1)
        pairs = list(pairwise(channels))
        self.first = Block(channels[0], channels[0])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.encode = nn.ModuleList(Block(b, b) for _, b in pairs)
        self.middle = nn.Sequential(*(Block(channels[-1], channels[-1], dilation) for dilation in (1, 2)))
        self.decode = nn.ModuleList(Block(a + b, a) for a, b in pairs)
        dense = 1 + 3 + len(SEGMENTS) + 1
        self.dense = nn.Sequential(nn.SiLU(), nn.Conv2d(channels[0], 4 * dense, 3, padding=1), nn.PixelShuffle(2))
        self.pose = nn.Sequential(nn.SiLU(), nn.Conv2d(channels[1], JOINTS, 1))

    def forward(self, image: Tensor) -> SceneMaps:
        """(B, 3, H, W) in [0, 1], with sides that are multiples of 32 → all maps."""
        h, skips = self._encode(image)
        quarter = h
        for level in reversed(range(len(self.decode))):
            h = functional.interpolate(h, scale_factor=2.0, mode="nearest")
            h = self.decode[level](torch.cat((skips[level], h), dim=1))
            quarter = h if level == 1 else quarter
        depth, normal, segmentation, softedge = self.dense(h).split((1, 3, len(SEGMENTS), 1), dim=1)
        return SceneMaps(
            depth.sigmoid(), functional.normalize(normal, dim=1), segmentation, self.pose(quarter), softedge
        )

    def features(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, channels[-1]): the deepest features, averaged over the picture."""
        return self._encode(image)[0].mean(dim=(2, 3))

    def _encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the deepest features, and those of each level above."""
        h = self.first(self.stem(image * 2 - 1))
        skips: list[Tensor] = []
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(h)
            h = encode(down(h))
        return self.middle(h), skips


def save_scene_net(network: SceneNet, folder: Path) -> None:
    """Write config.json and the weights as fp16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(
        json.dumps({"channels": list(network.channels)}, indent=2) + "\n", encoding="utf-8"
    )
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, folder / WEIGHTS_NAME)


def load_scene_net(folder: Path) -> SceneNet:
    """Return the network of a folder that save_scene_net wrote, fp32 on the CPU, ready to run."""
    from safetensors.torch import load_file

    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = SceneNet(config["channels"])
    network.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS_NAME).items()})
    return network.eval().requires_grad_(False)


def segment_targets(classes: NDArray[Any]) -> NDArray[np.int64]:
    """(..., H, W) ADE20K indices → channel numbers of SEGMENTS; all other classes are the last channel."""
    channel = np.full(256, len(SEGMENTS) - 1, np.int64)
    channel[list(SEGMENTS[:-1])] = np.arange(len(SEGMENTS) - 1)
    return channel[np.asarray(classes, np.uint8)]
