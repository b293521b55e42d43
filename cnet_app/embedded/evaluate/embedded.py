"""The embedded model's report: pictures of held-out scenes by the real pipeline, annotated again and compared with the truth.

`ours` is the score of pictures under control at conditioning scale 1, `free` of the same prompts and seeds without
control, `limit` of the true picture through the autoencoder, `judge` of the true picture itself.
`gap` = (ours - free) / (limit - free) is the share of the possible gain that is reached.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from annotators.base import Image
from annotators.canny import Canny
from annotators.embedded import OpenPoseEmbedded
from annotators.runtime import Runtime
from annotators.sources.images import resize
from cnet_app.diffusion.pipeline import generate
from cnet_app.embedded.evaluate.conditions import FAMILY, measured_rows
from cnet_app.embedded.evaluate.words import REFERENCES, WordJudge, colours_right, create_word_judge
from cnet_app.embedded.world import Sample, control_images, create_scene
from cnet_app.embedded.world.posters import HELD_OUT_PHOTOS, PALETTES, load_photo
from cnet_app.fidelity.compare import shipped_annotator
from cnet_app.fidelity.measures import MAP_MEASURES, edge_f1, people_pck
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.loader import Base, load_base, load_controlnet

FIRST_SEED = 9_000_000
"""Seed of the first held-out scene; the seeds of the training pictures are far below."""


@dataclass(frozen=True)
class LoadedModel:
    """The shipped base with its ControlNets, and the settings of the report's pictures."""

    base: Base
    controlnets: dict[str, Any]
    """By condition id."""
    size: int
    steps: int
    seconds: list[float] = field(default_factory=list)
    """Duration of every picture so far."""

    def picture(self, seed: int, prompt: str, units: Sequence[ControlUnit]) -> Image:
        """Generate one picture by the real pipeline."""
        request = GenerationRequest(
            units=tuple(units),
            prompt=prompt,
            base=FAMILY,
            width=self.size,
            height=self.size,
            num_inference_steps=self.steps,
            guidance_scale=self.base.defaults.guidance_scale,
            seed=seed,
        )
        start = time.perf_counter()
        networks = [self.controlnets[unit.condition] for unit in units]
        image = generate(self.base, networks, request)[0]
        self.seconds.append(time.perf_counter() - start)
        return image

    def reconstruction(self, image: Image) -> Image:
        """Return a picture encoded and decoded by the autoencoder."""
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            output = self.base.vae.decode(self.base.vae.encode(pixels, return_dict=False)[0], return_dict=False)[0]
        return ((output[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def load_model(size: int = 256, steps: int = 20) -> LoadedModel:
    """Load the shipped base and all its ControlNets."""
    rows = [row for row in CONDITIONS if FAMILY in row.controlnets]
    controlnets = {row.id: load_controlnet(row.controlnets[FAMILY], FAMILY) for row in rows}
    return LoadedModel(load_base(FAMILY), controlnets, size, steps)


def unit(name: str, control_image: Image, scale: float = 1.0) -> ControlUnit:
    """Return a unit of a condition with this map."""
    return ControlUnit(condition=name, control_image=encode_png(control_image), conditioning_scale=scale)


def scorer(name: str) -> Callable[[Sample, dict[str, Image], Image], float]:
    """Return the function that scores a picture of a sample, given the sample's maps, under a condition."""
    measure = condition(name).measure
    assert measure is not None, f"{name} has no measure"
    runtime = Runtime()
    if name == "openpose":
        return lambda sample, _, image: people_pck(
            sample.people, [person.body for person in OpenPoseEmbedded().people(image, runtime)]
        )
    judge = shipped_annotator(name)()
    return lambda _, maps, image: MAP_MEASURES[measure](maps[name], judge(image, runtime))


def control_maps(sample: Sample) -> dict[str, Image]:
    """Return maps by condition: exact ones of the scene, and for the other conditions those of their annotator."""
    exact = control_images(sample)
    geometry = [row.id for row in CONDITIONS if row.kind.id not in ("lines", "soft_lines", "picture")]
    others = [row.id for row in measured_rows() if row.id not in (*exact, *geometry)]
    runtime = Runtime()
    return exact | {id: shipped_annotator(id)()(sample.image, runtime) for id in others}


@dataclass(frozen=True)
class Part:
    """The scenes and photos that one process scores."""

    scenes: tuple[int, ...]
    photos: tuple[str, ...]


def split(count: int, photos: Sequence[str], workers: int) -> list[Part]:
    """Return at most `workers` parts, none of them empty, with scenes 0 to `count` - 1 and all photos between them."""
    workers = min(workers, max(count, len(photos)))
    return [Part(tuple(range(count))[i::workers], tuple(photos)[i::workers]) for i in range(workers)]


def evaluate(
    count: int = 128,
    size: int = 256,
    steps: int = 20,
    conditions: Sequence[str] = (),
    photos: Sequence[str] = HELD_OUT_PHOTOS,
    workers: int = 1,
    references: int = REFERENCES,
) -> dict[str, Any]:
    """Return the whole report as plain JSON values.

    `workers` processes share the scenes, with one thread each where there are several. The judge of words learns from
    `references` true pictures.
    """
    names = tuple(conditions) or tuple(row.id for row in measured_rows())
    parts = split(count, photos, workers)
    score = partial(part_scores, size=size, steps=steps, conditions=names, references=references)
    if len(parts) == 1:
        results = [score(parts[0])]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(parts), context, torch.set_num_threads, (1,)) as pool:
            results = list(pool.map(score, parts))
    by_scene = {number: scores for scenes, _ in results for number, scores in scenes.items()}
    scenes = [by_scene[number] for number in range(count)]
    report: dict[str, Any] = {"scenes": count, "size": size, "steps": steps} | mean_of(scenes)
    report["photos"] = mean_of([scores for _, photos_of in results for scores in photos_of])
    report["words"] = mean_of([row["words"] for scene in scenes for row in scene["conditions"].values()])
    for name, row in report["conditions"].items():
        row["scenes"] = sum(name in scene["conditions"] for scene in scenes)
        row["measure"] = condition(name).measure
        row["gap"] = (row["ours"] - row["free"]) / ((row["limit"] - row["free"]) or 1e-9)
    report["seconds_a_picture"] = float(np.median([second for scene in scenes for second in scene["seconds"]]))
    return report


def mean_of(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of every number over the records that have it; of lists, the mean of all their members."""
    means: dict[str, Any] = {}
    for key in dict.fromkeys(key for record in records for key in record):
        values = [record[key] for record in records if key in record]
        if isinstance(values[0], dict):
            means[key] = mean_of(values)
        elif flat := np.hstack(values).tolist():
            means[key] = float(np.mean(flat))
    return means


def part_scores(
    part: Part, *, size: int, steps: int, conditions: Sequence[str], references: int
) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]]]:
    """Load the model, and return the scores of a part: of its scenes by number, and of its photos."""
    model, words = load_model(size, steps), create_word_judge(size, references)
    scenes = {number: scene_scores(model, words, number, conditions) for number in part.scenes}
    return scenes, [photo_scores(model, photo) for photo in part.photos]


def scene_scores(model: LoadedModel, words: WordJudge, number: int, conditions: Sequence[str]) -> dict[str, Any]:
    """Return everything that is measured on one held-out scene."""
    sample = create_scene(FIRST_SEED + number, model.size)
    maps = control_maps(sample)
    limit = model.reconstruction(sample.image)
    model.seconds.clear()

    def picture(*names: str, prompt: str = sample.caption, scale: float = 1.0) -> Image:
        return model.picture(number, prompt, [unit(name, maps[name], scale) for name in names])

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
    return scores | {"seconds": list(model.seconds)}


def autoencoder_scores(sample: Sample, limit: Image) -> dict[str, Any]:
    """Return PSNR in dB, edge F1 and right colours of a true picture through the autoencoder."""
    error = np.square(sample.image.astype(float) - limit).mean()
    return {
        "psnr": float(10 * np.log10(255**2 / max(error, 1e-9))),
        "edge_f1": edge_f1(Canny()(sample.image), Canny()(limit)),
        "colour": colours_right(limit, sample),
    }


def word_scores(judge: WordJudge, sample: Sample, image: Image) -> dict[str, list[bool]]:
    """Return whether each thing's colour, the sky (where there is one) and the style are those of the caption."""
    return {
        "colour": colours_right(image, sample),
        "sky": [judge.sky(image, sample) == sample.sky] if sample.sky else [],
        "style": [judge.style(image, sample) == sample.style],
    }


def photo_scores(model: LoadedModel, photo: str) -> dict[str, dict[str, list[float]]]:
    """Return edge F1 of a held-out photo through canny and scribble under a poster prompt of every palette."""
    source = resize(load_photo(photo), model.size, model.size, "crop")
    scores: dict[str, dict[str, list[float]]] = {}
    for name in ("canny", "scribble"):
        annotate = shipped_annotator(name)()
        control = annotate(source)
        scores[name] = {"ours": [], "free": []}
        for seed, palette in enumerate(PALETTES):
            prompt = f"a poster in {palette} colours of a photo"
            for key, units in (("ours", [unit(name, control)]), ("free", [])):
                scores[name][key].append(edge_f1(control, annotate(model.picture(seed, prompt, units))))
    return scores
