"""The annotators' report: every annotator that can run here, on held-out scenes with exact depth, normals, classes and joints.

Soft edges have no exact map; only the embedded network is compared, with the map it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from annotators.base import Annotator, Image
from annotators.embedded import OpenPoseEmbedded, SoftEdgeEmbedded
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.embedded.evaluate.embedded import FIRST_SEED, scorer
from cnet_app.embedded.world import Sample, control_images, create_scene
from cnet_app.fidelity.measures import MAP_MEASURES
from cnet_app.registry.conditions import condition
from cnet_app.registry.measures import measure
from models.catalogue.weights import find

Score = Callable[[Sample, Mapping[str, Image]], float]
GEOMETRY = ("depth", "normal", "segmentation")


def evaluate_annotators(count: int = 16, size: int = 256) -> list[dict[str, Any]]:
    """Return plain JSON rows: `condition`, `annotator`, `measure`, `scenes` and the mean `score` over those scenes."""
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
    """Return the report as a Markdown table."""
    head = (
        f"Held-out scenes, {size} px.\n\n| condition | annotator | scenes | measure | score |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {row['condition']} | {row['annotator']} | {row['scenes']} | {row['measure']} | {row['score']:.3f} |"
        for row in rows
    )


def _judges() -> Iterator[tuple[str, str, str, Score]]:
    """Yield condition id, annotator id, label of the measure, and the function that scores the annotator on a scene."""
    for name in GEOMETRY:
        for id in condition(name).annotators:
            if all(find(weights) for weights in annotator(id).weights):
                yield name, id, *_map_score(name, annotator(id)(), condition(name).measure)
    pose = scorer("openpose")
    label = measure("pck").label
    yield "openpose", OpenPoseEmbedded.id, label, lambda sample, maps: pose(sample, dict(maps), sample.image)
    edges = SoftEdgeEmbedded()
    for id in ("ms_ssim", "edge_f1"):
        yield "softedge", edges.id, *_map_score("softedge", edges, id)


def _map_score(name: str, judge: Annotator, measure_id: str | None) -> tuple[str, Score]:
    assert measure_id is not None, f"{name} has no measure"
    compare, runtime = MAP_MEASURES[measure_id], Runtime()
    return measure(measure_id).label, lambda sample, maps: compare(maps[name], judge(sample.image, runtime))
