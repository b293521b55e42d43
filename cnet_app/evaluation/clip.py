"""CLIP score and aesthetics, with a CLIP model and a predictor that lie on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnet_app.evaluation.distances import Folders, read_pictures
from cnet_app.evaluation.report import Distance
from models.errors import InputError
from models.files import sha256_of

LOADING_ERRORS = (OSError, ValueError, RuntimeError, KeyError, ImportError, EOFError, TypeError)
NO_PROMPTS = "needs the prompts of the pictures, --prompts"


@dataclass
class ClipModel:
    """A CLIP model of a folder in transformers' layout."""

    folder: Path
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not (self.folder / "config.json").is_file():
            raise InputError(
                f"--clip is {self.folder}, which holds no CLIP model; give a folder in transformers' layout, such as a copy "
                "of openai/clip-vit-base-patch16."
            )
        try:
            from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

            self._model: Any = CLIPModel.from_pretrained(self.folder, local_files_only=True)
            self._processor: Any = CLIPImageProcessor.from_pretrained(self.folder, local_files_only=True)
            self._tokenizer: Any = CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)
        except LOADING_ERRORS as error:
            raise InputError(f"--clip is {self.folder}, which cannot be read as a CLIP model ({error}).") from error
        self._model = self._model.eval().requires_grad_(False).to(self.device)

    @property
    def facts(self) -> dict[str, str]:
        """Return what a number of this model depends on."""
        weights = next(iter(sorted(self.folder.glob("*.safetensors")) + sorted(self.folder.glob("*.bin"))))
        return {
            "model": self.folder.name,
            "sha256": sha256_of(weights),
            "resize": _side(self._processor.size) if self._processor.do_resize else "none",
            "crop": f"centre, {_side(self._processor.crop_size)}" if self._processor.do_center_crop else "none",
        }

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self._model.config.projection_dim)

    def image_embeddings(self, paths: Sequence[Path]) -> Any:
        """Return (N, width) unit vectors of the pictures that can be read, as a tensor."""
        import torch

        found = [torch.zeros(0, self.width)]
        with torch.inference_mode():
            for picture in read_pictures(paths):
                pixels = self._processor(images=picture, return_tensors="pt")["pixel_values"].to(self.device)
                vision = self._model.vision_model(pixel_values=pixels).pooler_output
                found.append(self._model.visual_projection(vision).float().cpu())
        return torch.nn.functional.normalize(torch.cat(found), dim=1)

    def text_embeddings(self, texts: Sequence[str]) -> Any:
        """Return (N, width) unit vectors of prompts, cut at the model's length, as a tensor."""
        import torch

        found: list[Any] = []
        with torch.inference_mode():
            for text in texts:
                length = self._model.config.text_config.max_position_embeddings
                tokens = self._tokenizer(text, truncation=True, max_length=length, return_tensors="pt").to(self.device)
                words = self._model.text_model(**tokens).pooler_output
                found.append(self._model.text_projection(words).float().cpu())
        return torch.nn.functional.normalize(torch.cat(found), dim=1)


def _side(size: Any) -> str:
    values = {name: getattr(size, name, None) for name in ("shortest_edge", "height", "width")}
    return ", ".join(f"{name.replace('_', ' ')} {value} px" for name, value in values.items() if value)


@dataclass(frozen=True)
class ClipScore:
    """Cosine of picture and prompt, times 100, nought where it is below: the mean over pictures with a prompt."""

    clip: ClipModel

    def measure(self, folders: Folders) -> Distance:
        """Return the score of a method's pictures."""
        pairs = [(path, text) for path, text in zip(folders.pictures, folders.prompts, strict=True) if text]
        value, note, count = None, "" if pairs else NO_PROMPTS, 0
        scores = [self._score(path, text) for path, text in pairs]
        known = [score for score in scores if score is not None]
        if known:
            value, count = float(np.mean(known)), len(known)
        elif pairs:
            note = "no picture could be read"
        return Distance(
            id="clip_score", title="CLIP score ↑", method=folders.method, value=value, count=count, facts=self.clip.facts, note=note
        )  # fmt: skip

    def _score(self, path: Path, text: str) -> float | None:
        images = self.clip.image_embeddings([path])
        if not len(images):
            return None
        return max(100 * float((images * self.clip.text_embeddings([text])).sum()), 0.0)


class Aesthetics:
    """A linear predictor on CLIP's embeddings of pictures, as LAION's."""

    def __init__(self, clip: ClipModel, weights: Path) -> None:
        """Raises InputError where the weights are missing, or of another CLIP model."""
        self._clip, self._path = clip, weights
        try:
            self._weight, self._bias = _linear(weights)
        except LOADING_ERRORS as error:
            raise InputError(f"--aesthetics is {weights}, which cannot be read as a linear layer ({error}).") from error
        if self._weight.shape != (1, clip.width):
            raise InputError(
                f"--aesthetics is {weights}, a layer of {tuple(self._weight.shape)}, but the CLIP model of {clip.folder} "
                f"needs one of (1, {clip.width}); give the one that belongs to it."
            )

    def measure(self, folders: Folders) -> Distance:
        """Return the mean prediction over a method's pictures."""
        embeddings = self._clip.image_embeddings(folders.pictures)
        count = len(embeddings)
        value = float((embeddings @ self._weight.T + self._bias).mean()) if count else None
        facts = self._clip.facts | {"predictor": self._path.name, "sha256 of the predictor": sha256_of(self._path)}
        note = "" if count else "no picture could be read"
        return Distance(
            id="aesthetics", title="CLIP aesthetics ↑", method=folders.method, value=value, count=count, facts=facts, note=note
        )  # fmt: skip


def _linear(path: Path) -> tuple[Any, Any]:
    """Return weight and bias of a file with one linear layer."""
    import torch
    from safetensors.torch import load_file

    state = (
        load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    )
    return state["weight"].float(), state["bias"].float()
