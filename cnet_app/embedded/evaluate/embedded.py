"""The embedded model's report: held-out scenes through the real pipeline, annotated again and held against the truth.

`ours` is control at strength 1, `free` the same prompts and seeds without control, `limit` the true picture through the
autoencoder, `judge` the true picture itself. `gap` = (ours - free) / (limit - free) says how much of what is possible is
reached.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotators.base import Annotator
from annotators.canny import Canny
from annotators.embedded import OpenPoseEmbedded
from annotators.images import resize
from annotators.registry import annotator
from cnet_app.diffusion.pipeline import generate
from cnet_app.embedded.evaluate.words import WordJudge, colours_right, create_word_judge
from cnet_app.embedded.world import Sample, control_images, create_scene
from cnet_app.embedded.world.posters import HELD_OUT_PHOTOS, PALETTES, load_photo
from cnet_app.fidelity.measures import MEASURES, edge_f1, pck
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.request.generation import ControlUnit, GenerationRequest, encode_png
from models.catalog import entry
from models.loader import Base, load_base, load_controlnet

Image = NDArray[np.uint8]
FIRST_SEED = 9_000_000
"""Held-out scenes; training seeds are far below."""
FAMILY = "embedded"


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


def measured_rows() -> list[Condition]:
    """Conditions of the embedded model whose maps can be held against a picture's own; a mask's filling cannot."""
    return [row for row in CONDITIONS if FAMILY in row.controlnets and not row.masked]


def control_maps(sample: Sample) -> dict[str, Image]:
    """Maps by condition: the scene's exact ones, and of the other conditions what their judge makes of the picture."""
    exact = control_images(sample)
    geometry = [row.id for row in CONDITIONS if row.kind.id not in ("lines", "soft_lines", "picture")]
    others = [row.id for row in measured_rows() if row.id not in (*exact, *geometry)]
    return exact | {id: judge_of(id)()(sample.image) for id in others}


def _pose_score(sample: Sample, image: Image) -> float:
    found = [person.body for person in OpenPoseEmbedded().people(image)]
    return float(np.mean([pck(person, found) for person in sample.people]))


def evaluate(
    count: int = 128,
    size: int = 256,
    steps: int = 20,
    conditions: Sequence[str] = (),
    photos: Sequence[str] = HELD_OUT_PHOTOS,
    workers: int = 1,
) -> dict[str, Any]:
    """The whole report as plain JSON values; `workers` processes share the scenes, one thread each where several."""
    rows = list(conditions) or [row.id for row in measured_rows()]
    score_scene = partial(scene_scores, size=size, steps=steps, conditions=tuple(rows))
    score_photo = partial(photo_scores, size=size, steps=steps)
    if workers == 1:
        scenes, others = list(map(score_scene, range(count))), list(map(score_photo, photos))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
            scenes, others = list(pool.map(score_scene, range(count))), list(pool.map(score_photo, photos))
    report: dict[str, Any] = {"scenes": count, "size": size, "steps": steps} | mean_of(scenes)
    report["photos"] = mean_of(others)
    report["words"] = mean_of([row["words"] for scene in scenes for row in scene["conditions"].values()])
    for name, row in report["conditions"].items():
        row["scenes"] = sum(name in scene["conditions"] for scene in scenes)
        row["measure"] = condition(name).measure
        row["gap"] = (row["ours"] - row["free"]) / ((row["limit"] - row["free"]) or 1e-9)
    report["seconds_a_picture"] = float(np.median([second for scene in scenes for second in scene["seconds"]]))
    return report


def mean_of(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every number, over the records that have it; of lists, the mean of all their members."""
    means: dict[str, Any] = {}
    for key in dict.fromkeys(key for record in records for key in record):
        values = [record[key] for record in records if key in record]
        if isinstance(values[0], dict):
            means[key] = mean_of(values)
        elif flat := np.hstack(values).tolist():
            means[key] = float(np.mean(flat))
    return means


@lru_cache(maxsize=1)
def _studio(size: int, steps: int) -> tuple[Studio, WordJudge]:
    return load_studio(size, steps), create_word_judge(size)


def scene_scores(number: int, *, size: int, steps: int, conditions: Sequence[str]) -> dict[str, Any]:
    """Everything measured on one held-out scene."""
    studio, words = _studio(size, steps)
    sample = create_scene(FIRST_SEED + number, size)
    maps = control_maps(sample)
    limit = studio.reconstruction(sample.image)
    studio.seconds.clear()

    def picture(*names: str, prompt: str = sample.caption, scale: float = 1.0) -> Image:
        return studio.picture(number, prompt, [unit(name, maps[name], scale) for name in names])

    free, rows = picture(), {}
    made = {name: picture(name) for name in conditions if name in maps}
    for name, ours in made.items():
        score = scorer(name)
        pictures = {"judge": sample.image, "limit": limit, "free": free, "ours": ours}
        pictures["empty_prompt"] = picture(name, prompt="")
        rows[name] = {key: score(sample, maps, image) for key, image in pictures.items()}
        rows[name]["words"] = word_scores(words, sample, ours)
    scores: dict[str, Any] = {
        "autoencoder": autoencoder_scores(sample, limit),
        "judge_words": word_scores(words, sample, sample.image),
        "conditions": rows,
    }
    if "canny" in made:
        score = scorer("canny")
        half = score(sample, maps, picture("canny", scale=0.5))
        scores["strength"] = {"0": rows["canny"]["free"], "0.5": half, "1": rows["canny"]["ours"]}
    if "openpose" in made and "depth" in made:
        both = picture("openpose", "depth")
        scores["pose_and_depth"] = {name: scorer(name)(sample, maps, both) for name in ("openpose", "depth")}
        scores["pose_or_depth"] = {name: rows[name]["ours"] for name in ("openpose", "depth")}
    return scores | {"seconds": list(studio.seconds)}


def autoencoder_scores(sample: Sample, limit: Image) -> dict[str, Any]:
    """PSNR in dB, edge F1 and named colours of a true picture through the autoencoder."""
    error = np.square(sample.image.astype(float) - limit).mean()
    return {
        "psnr": float(10 * np.log10(255**2 / max(error, 1e-9))),
        "edge_f1": edge_f1(Canny()(sample.image), Canny()(limit)),
        "colour": colours_right(limit, sample),
    }


def word_scores(judge: WordJudge, sample: Sample, image: Image) -> dict[str, list[bool]]:
    """For every thing, is its colour right? And is the sky, where there is one, and the style?"""
    return {
        "colour": colours_right(image, sample),
        "sky": [judge.sky(image, sample) == sample.sky] if sample.sky else [],
        "style": [judge.style(image, sample) == sample.style],
    }


def photo_scores(photo: str, *, size: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """A held-out real photo through canny and scribble under a poster prompt of every palette: edge F1."""
    studio, _ = _studio(size, steps)
    source = resize(load_photo(photo), size, size, "crop")
    scores: dict[str, dict[str, list[float]]] = {}
    for name in ("canny", "scribble"):
        make = judge_of(name)()
        control = make(source)
        scores[name] = {"ours": [], "free": []}
        for seed, palette in enumerate(PALETTES):
            prompt = f"a poster in {palette} colours of a photo"
            for key, units in (("ours", [unit(name, control)]), ("free", [])):
                scores[name][key].append(edge_f1(control, make(studio.picture(seed, prompt, units))))
    return scores
