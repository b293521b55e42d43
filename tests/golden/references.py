"""The stored references: where they are, which machine made them, and how close a result must come to them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""

FOLDER = Path(__file__).parent
RECIPES, PICTURES, MAPS = FOLDER / "recipes", FOLDER / "pictures", FOLDER / "maps"
SCENE, SCENE_SEED = FOLDER / "scene.png", 7
MACHINE = FOLDER / "machine.json"
CPUINFO = Path("/proc/cpuinfo")
LIBRARIES = ("numpy", "diffusers", "transformers", "pillow", "scikit-image", "scipy", "controlnet-aux")


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Allowed difference between a result and its reference."""

    mean: float
    """Largest mean absolute difference in grey levels."""
    within: int
    """Grey levels that the channels of nearly every pixel may differ by."""
    share: float
    """Smallest share of pixels that differ by no more."""

    def fault(self, found: Pixels, reference: Pixels) -> str:
        """Describe a difference that is too large; empty where there is none."""
        if found.shape != reference.shape:
            return f"The shape is {found.shape}, but the reference's is {reference.shape}."
        difference = np.abs(found.astype(int) - reference.astype(int))
        mean, share = float(difference.mean()), float((difference.max(axis=2) <= self.within).mean())
        if mean <= self.mean and share >= self.share:
            return ""
        return (
            f"The mean difference is {mean:.4f} grey levels (at most {self.mean:g} allowed), {share:.3%} of the pixels "
            f"differ by at most {self.within} ({self.share:.2%} required), the largest difference is {difference.max()}."
        )


EXACT = Tolerance(mean=0, within=0, share=1)
# Another CPU or library version adds float32 numbers in another order. Measured with vector instructions switched off
# (AVX-512 to AVX2, and to SSE4.1), a pixel changes by one grey level where its value lies on the border between two: at
# most 0.03 % of a picture's pixels, a mean of 0.0001; of the normals of flat surfaces 0.3 %, a mean of 0.0015. No pixel of
# lines, labels or poses changes. In contrast, a conditioning_scale that is 0.05 larger changes the mean of any recipe
# with units by 0.08 or more.
SMOOTH = Tolerance(mean=0.02, within=1, share=0.999)
"""For maps and pictures with all grey levels."""
HARD = Tolerance(mean=0.05, within=0, share=0.9998)
"""For maps where a pixel has one of a few values, far apart."""
ELSEWHERE: Mapping[str, Tolerance] = MappingProxyType({"lines": HARD, "labels": HARD, "pose": HARD})
"""Tolerances on machines other than the references', by kind of map; SMOOTH for other kinds and pictures."""


def machine() -> dict[str, str]:
    """Describe what a result's last bits depend on: the CPU, the instructions torch uses of it, the libraries."""
    text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    names = ("model name", "cpu family", "model", "stepping")
    found = [re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) for name in names]
    return {
        "cpu": ", ".join(match[0].replace("\t", "") for match in found if match) or platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        **{name: version(name) for name in LIBRARIES},
    }


def is_same_machine() -> bool:
    """Whether this machine and its libraries are those of the references."""
    return MACHINE.exists() and json.loads(MACHINE.read_text(encoding="utf-8")) == machine()


def fault(path: Path, found: Pixels, tolerance: Tolerance) -> str:
    """Describe how a result differs from its reference, in any bit on the same machine, else beyond the tolerance."""
    allowed, where = (EXACT, "the same machine") if is_same_machine() else (tolerance, "another machine")
    text = allowed.fault(found, load(path))
    return f"{path.stem} has changed. {text} This is {where}; see tests/golden/__init__.py." if text else ""


def load(path: Path) -> Pixels:
    """Read an RGB picture."""
    return np.asarray(Image.open(path).convert("RGB"))


def save(path: Path, pixels: Pixels) -> None:
    """Write a picture without loss."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def picture_path(recipe: str, index: int) -> Path:
    """Return the file of one picture of a recipe."""
    return PICTURES / f"{recipe}_{index}.png"


def recipe_names() -> list[str]:
    """List the stored recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.json"))


def load_recipe(name: str) -> dict[str, Any]:
    """Read a recipe's JSON."""
    return json.loads((RECIPES / f"{name}.json").read_text(encoding="utf-8"))


def source_image(map_kind: str) -> Pixels:
    """Return the source of maps of this kind: the stored scene, which shows a person and known classes, or a photo.

    The photo is 256x256 pixels, each the mean of four, so that it does not depend on how a library resizes.
    """
    if map_kind in ("pose", "labels"):
        return load(SCENE)
    return np.rint(data.astronaut().reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))).astype(np.uint8)
