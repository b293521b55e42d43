"""docs/experiments.md from the figures of the runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.experiments.claims import (
    BATCH,
    PAIRS,
    PLAN,
    PROBES,
    PROMPTS,
    RATE,
    SIDE,
    STEPS,
    Experiment,
    Values,
)


def means(experiment: Experiment, results: Mapping[str, Sequence[Values]]) -> dict[str, dict[str, float]]:
    """Return the mean of every value that is shown, or that the verdict needs, by arm."""
    return {
        arm: {name: statistics.fmean(run[name] for run in runs) for name in NUMBERS}
        for arm, runs in results.items()
        if arm in experiment.arms
    }


NUMBERS = (
    *(f"score, {name}" for name in PROMPTS), "score with the other", "score on a tuned base", "blank", "jump", "found", "steepest", "found near",
)  # fmt: skip


def section(experiment: Experiment, results: Mapping[str, Sequence[Values]]) -> str:
    """Return the section of an experiment in Markdown: claim, table, verdict. Its arms are compared on the seeds that all have."""
    seeds = min(map(len, results.values()))
    results = {arm: runs[:seeds] for arm, runs in results.items()}
    found = means(experiment, results)
    verdict = "reproduced" if experiment.holds(found) else "not reproduced"
    lines = [
        f"## {experiment.id.capitalize()}: {verdict}",
        "",
        experiment.claim,
        "",
        f"The paper: {experiment.paper}. Seeds: {seeds}.",
        "",
        f"| arm | {' | '.join(experiment.measures)} |",
        f"|---|{'---|' * len(experiment.measures)}",
    ]
    for arm, row in experiment.arms.items():
        cells = (_cell([run[name] for run in results[arm]], name) for name in experiment.measures)
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    drawing = f"![Score over the steps, by arm](images/{drawing_name(experiment)})"
    return "\n".join([*lines, "", drawing, "", f"`python -m benchmarks.experiments --only {experiment.id}`", ""])


def drawing_name(experiment: Experiment) -> str:
    """Return the name of the file with an experiment's curves."""
    return f"experiment_{experiment.id}.svg"


def _cell(values: Sequence[float], name: str) -> str:
    """Return mean and range over the seeds."""
    if name in ("jump", "steepest"):
        return ", ".join(f"{value:.0f}" if value <= STEPS else "none" for value in values)
    if name in ("found", "found near"):
        return f"{sum(values):.0f} of {len(values)}"
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else mean


def document(sections: Sequence[str]) -> str:
    """Return docs/experiments.md."""
    return "\n".join([HEAD, *sections, TAIL])


HEAD = f"""\
# Experiments

<!-- Written by `python -m benchmarks.experiments` from its own figures. -->

The claims of the paper (arXiv 2302.05543) in miniature, each by the trainer that users have: ControlNets on the embedded base,
{SIDE} px, {STEPS} steps of batch {BATCH}, learning rate {RATE:g}, {PAIRS:,} procedural pictures with their Canny maps. A
score is the mean agreement (edge F1 within 2 px for Canny) of {PROBES} pictures with held-out maps, {PLAN.probe_steps} denoising
steps, no guidance; the range is over the seeds. "Blank" is the score before the first step. "Jump" is the step of the sudden
convergence that the trainer's detector found, one for each seed, "none" where it found none.

A verdict compares means; with few seeds and so small a base it shows a direction, not a size.
"""
COSTS = """\
A step of a ControlNet takes somewhat more memory and time than one of the base itself: at most half as much again.

The paper: 23 % more memory and 34 % more time in each step, on an A100. Here, at batch 1, gradients, optimiser and update of
what is trained weigh most, and the base has more than twice as many numbers as the copy; at large batches activations weigh more."""
COSTS_COMMAND = "`python -m benchmarks.training --only cost`"
TAIL = """\
## Elsewhere

- [A strength for reference latents](reference-strength.md): the map as a reference of FLUX.2, and which forms of strength work there.

## Not testable here

- Fidelity ranked by people, FID and CLIP scores against other methods (tables 1 and 3): they need people, a real base and
  thousands of pictures. `evaluate` and the Rank page are there for who has them.
- 50 k and 3 M pairs: the procedural world has them, two cores do not have the days.
"""
