"""The annotators' report: held-out scenes, whose depth, normals, classes and joints are known, through all that can run here.

Soft edges have no truth but the map that the small network learned from, so only that network is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator
from annotators.embedded import OpenPoseEmbedded, SoftEdgeEmbedded
from annotators.registry import annotator
from cnet_app.embedded.evaluate.embedded import FIRST_SEED, scorer
from cnet_app.embedded.world import Sample, control_images, create_scene
from cnet_app.fidelity.measures import MEASURES
from cnet_app.registry.conditions import condition
from models.weights import find

Image = NDArray[np.uint8]
Score = Callable[[Sample, Mapping[str, Image]], float]
GEOMETRY = ("depth", "normal", "segmentation")


def evaluate_annotators(count: int = 16, size: int = 256) -> list[dict[str, Any]]:
    """Plain JSON rows: `condition`, `annotator`, `measure`, `scenes` and `score`, the mean over the scenes that have the map."""
    judges = list(_judges())
    found: list[list[float]] = [[] for _ in judges]
    for number in range(count):
        sample = create_scene(FIRST_SEED + number, size)
        maps = control_images(sample)
        for scores, (name, _, _, score) in zip(found, judges, strict=True):
            if name in maps:
                scores.append(score(sample, maps))
    return [
        {"condition": name, "annotator": id, "measure": measure, "scenes": len(scores), "score": float(np.mean(scores))}
        for scores, (name, id, measure, _) in zip(found, judges, strict=True)
        if scores
    ]


def annotators_table(rows: list[dict[str, Any]], size: int = 256) -> str:
    """The report as Markdown, as it stands in the model card."""
    head = (
        f"Held-out scenes, {size} px.\n\n| condition | annotator | scenes | measure | score |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {row['condition']} | {row['annotator']} | {row['scenes']} | {row['measure']} | {row['score']:.3f} |"
        for row in rows
    )


def _judges() -> Iterator[tuple[str, str, str, Score]]:
    """Condition, annotator, measure, and how the annotator scores on a scene."""
    for name in GEOMETRY:
        for id in condition(name).annotators:
            if all(find(weights) for weights in annotator(id).weights):
                yield name, id, MEASURES[condition(name).measure].name, _map_score(name, annotator(id)())
    pose = scorer("openpose")
    yield "openpose", OpenPoseEmbedded.id, "PCK", lambda sample, maps: pose(sample, dict(maps), sample.image)
    for measure in ("ms_ssim", "edge_f1"):
        edges = SoftEdgeEmbedded()
        yield "softedge", edges.id, MEASURES[measure].name, _map_score("softedge", edges, measure)


def _map_score(name: str, judge: Annotator, measure: str = "") -> Score:
    score = MEASURES[measure or condition(name).measure].score
    return lambda sample, maps: score(maps[name], judge(sample.image))
