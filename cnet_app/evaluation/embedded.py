"""The embedded model's report: held-out scenes through the real pipeline, annotated again and held against the truth.

`ours` is control at strength 1, `free` the same prompts and seeds without control, `limit` the true picture through the
autoencoder, `judge` the true picture itself. `gap` = (ours - free) / (limit - free) says how much of what is possible is
reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotators.base import Annotator
from annotators.canny import Canny
from annotators.embedded import OpenPoseEmbedded
from annotators.images import resize
from annotators.registry import annotator
from cnet_app.conditions import CONDITIONS, condition
from cnet_app.diffusion.pipeline import generate
from cnet_app.evaluation.words import WordJudge, colours_right, create_word_judge
from cnet_app.fidelity import MEASURES, edge_f1, pck
from cnet_app.requests import ControlUnit, GenerationRequest, encode_png
from cnet_app.world import Sample, control_images, create_scene
from cnet_app.world.posters import HELD_OUT_PHOTOS, PALETTES, load_photo
from models.catalog import entry
from models.loader import Base, load_base, load_controlnet

Image = NDArray[np.uint8]
FIRST_SEED = 9_000_000
"""Held-out scenes; training seeds are far below."""
FAMILY = "embedded"
STRENGTHS = (0.0, 0.5, 1.0)


@dataclass
class Studio:
    """The loaded model, and how the report makes pictures with it."""

    base: Base
    controlnets: dict[str, Any]
    size: int
    steps: int
    seconds: list[float]

    def picture(self, sample_seed: int, prompt: str, units: Sequence[ControlUnit]) -> Image:
        """One picture by the real pipeline."""
        request = GenerationRequest(
            units=tuple(units),
            prompt=prompt,
            base=FAMILY,
            width=self.size,
            height=self.size,
            num_inference_steps=self.steps,
            guidance_scale=self.base.defaults.guidance_scale,
            seed=sample_seed,
        )
        start = time.perf_counter()
        networks = [self.controlnets[unit.condition] for unit in units]
        image = generate(self.base, networks, request)[0]
        self.seconds.append(time.perf_counter() - start)
        return image

    def reconstruction(self, image: Image) -> Image:
        """A true picture through the autoencoder."""
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            output = self.base.vae.decode(self.base.vae.encode(pixels, return_dict=False)[0], return_dict=False)[0]
        return ((output[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def load_studio(size: int = 256, steps: int = 20) -> Studio:
    """The shipped base and all its ControlNets."""
    base = load_base(FAMILY)
    rows = [row for row in CONDITIONS if FAMILY in row.controlnets]
    return Studio(base, {row.id: load_controlnet(row.controlnets[FAMILY], FAMILY) for row in rows}, size, steps, [])


def unit(name: str, control_image: Image, scale: float = 1.0) -> ControlUnit:
    """One control of the report."""
    return ControlUnit(condition=name, control_image=encode_png(control_image), conditioning_scale=scale)


def scorer(name: str) -> Callable[[Sample, dict[str, Image], Image], float]:
    """How a picture made for a sample is scored under a condition."""
    if name == "openpose":
        return lambda sample, _, image: _pose_score(sample, image)
    judge = judge_of(name)()
    measure = MEASURES[condition(name).measure]
    return lambda _, maps, image: measure.score(maps[name], judge(image))


def judge_of(name: str) -> type[Annotator]:
    """What annotates a result again: the condition's best annotator that needs no download."""
    kinds = [annotator(id) for id in condition(name).annotators]
    return next(kind for kind in kinds if not any(entry(weights).repo for weights in kind.weights))


def _pose_score(sample: Sample, image: Image) -> float:
    found = OpenPoseEmbedded().people(image)
    return float(np.mean([pck(person, found) for person in sample.people]))


def evaluate(
    count: int = 128,
    size: int = 256,
    steps: int = 20,
    conditions: Sequence[str] = (),
    photos: Sequence[str] = HELD_OUT_PHOTOS,
) -> dict[str, Any]:
    """The whole report as plain JSON values."""
    studio = load_studio(size, steps)
    samples = [create_scene(FIRST_SEED + i, size) for i in range(count)]
    maps = [control_images(sample) for sample in samples]
    words = create_word_judge(size)
    free = [studio.picture(i, sample.caption, ()) for i, sample in enumerate(samples)]
    limit = [studio.reconstruction(sample.image) for sample in samples]
    report: dict[str, Any] = {
        "scenes": count,
        "size": size,
        "steps": steps,
        "autoencoder": autoencoder_report(samples, limit),
        "judge_words": words_report(words, samples, [sample.image for sample in samples]),
        "conditions": {
            name: condition_report(studio, words, name, samples, maps, free, limit)
            for name in conditions or studio.controlnets
        },
    }
    report["strength"] = strength_report(studio, samples, maps)
    report["pose_and_depth"] = pair_report(studio, samples, maps)
    report["photos"] = photo_report(studio, photos)
    report["seconds_a_picture"] = float(np.median(studio.seconds))
    return report


def condition_report(
    studio: Studio,
    words: WordJudge,
    name: str,
    samples: Sequence[Sample],
    maps: Sequence[dict[str, Image]],
    free: Sequence[Image],
    limit: Sequence[Image],
) -> dict[str, Any]:
    """One condition on the scenes that have its map."""
    chosen = [i for i in range(len(samples)) if name in maps[i]]
    units = {i: unit(name, maps[i][name]) for i in chosen}
    ours = [studio.picture(i, samples[i].caption, [units[i]]) for i in chosen]
    pictures = {
        "judge": [samples[i].image for i in chosen],
        "limit": [limit[i] for i in chosen],
        "free": [free[i] for i in chosen],
        "ours": ours,
        "empty_prompt": [studio.picture(i, "", [units[i]]) for i in chosen],
    }
    score = scorer(name)
    row = {
        key: float(np.mean([score(samples[i], maps[i], image) for i, image in zip(chosen, images, strict=True)]))
        for key, images in pictures.items()
    }
    gap = (row["ours"] - row["free"]) / ((row["limit"] - row["free"]) or 1e-9)
    return {
        "scenes": len(chosen),
        "measure": condition(name).measure,
        **row,
        "gap": gap,
        "words": words_report(words, [samples[i] for i in chosen], ours),
    }


def autoencoder_report(samples: Sequence[Sample], limit: Sequence[Image]) -> dict[str, float]:
    """PSNR in dB, edge F1 and named colours of true pictures through the autoencoder."""
    canny = Canny()
    errors = [np.square(s.image.astype(float) - image).mean() for s, image in zip(samples, limit, strict=True)]
    right = [ok for s, image in zip(samples, limit, strict=True) for ok in colours_right(image, s)]
    return {
        "psnr": float(np.mean([10 * np.log10(255**2 / max(error, 1e-9)) for error in errors])),
        "edge_f1": float(np.mean([edge_f1(canny(s.image), canny(i)) for s, i in zip(samples, limit, strict=True)])),
        "colour": float(np.mean(right)),
    }


def words_report(judge: WordJudge, samples: Sequence[Sample], images: Sequence[Image]) -> dict[str, float]:
    """Shares of things of the right colour, and of pictures of the right sky and style."""
    pairs = list(zip(samples, images, strict=True))
    return {
        "colour": float(np.mean([ok for s, image in pairs for ok in colours_right(image, s)])),
        "sky": float(np.mean([judge.sky(image, s) == s.sky for s, image in pairs if s.sky])),
        "style": float(np.mean([judge.style(image) == s.style for s, image in pairs])),
    }


def strength_report(studio: Studio, samples: Sequence[Sample], maps: Sequence[dict[str, Image]]) -> dict[str, float]:
    """Canny edge F1 at rising control strength, on the first 32 scenes."""
    score, scores = scorer("canny"), {}
    for strength in STRENGTHS:
        values = [
            score(sample, maps[i], studio.picture(i, sample.caption, [unit("canny", maps[i]["canny"], strength)]))
            for i, sample in enumerate(samples[:32])
        ]
        scores[f"{strength:g}"] = float(np.mean(values))
    return scores


def pair_report(studio: Studio, samples: Sequence[Sample], maps: Sequence[dict[str, Image]]) -> dict[str, float]:
    """Pose and depth together, each scored as when alone."""
    chosen = [i for i in range(len(samples)) if "openpose" in maps[i]]
    pictures = [
        studio.picture(i, samples[i].caption, [unit(n, maps[i][n]) for n in ("openpose", "depth")]) for i in chosen
    ]
    return {
        name: float(np.mean([scorer(name)(samples[i], maps[i], p) for i, p in zip(chosen, pictures, strict=True)]))
        for name in ("openpose", "depth")
    }


def photo_report(studio: Studio, photos: Sequence[str]) -> dict[str, dict[str, float]]:
    """Held-out real photos through canny and scribble under a poster prompt of every palette: edge F1."""
    report = {}
    for name in ("canny", "scribble"):
        make = judge_of(name)()
        scores: dict[str, list[float]] = {"ours": [], "free": []}
        for photo in photos:
            source = resize(load_photo(photo), studio.size, studio.size, "crop")
            control = make(source)
            for seed, palette in enumerate(PALETTES):
                prompt = f"a poster in {palette} colours of a photo"
                for key, units in (("ours", [unit(name, control)]), ("free", [])):
                    image = studio.picture(seed, prompt, units)
                    scores[key].append(edge_f1(control, make(image)))
        report[name] = {key: float(np.mean(values)) for key, values in scores.items()}
    return report
