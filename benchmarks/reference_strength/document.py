"""docs/reference-strength.md and its drawing, from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.experiments.curves import drawing
from benchmarks.reference_strength.measures import TOLERANCE
from benchmarks.reference_strength.network import WITHOUT, Plan
from benchmarks.reference_strength.study import BEYOND, STRENGTHS, Sampling
from benchmarks.reference_strength.task import PATCH, SIDE
from benchmarks.reference_strength.verdicts import LEAST_RISE, LEAST_SHAPE, MOST_ERROR, Finding, Point, Step

DRAWING = "reference_strength.svg"
ARROWS: dict[Step, str] = {"rises": "↑", "level": "=", "falls": "↓"}


def document(findings: Sequence[Finding], plans: Sequence[Plan], sampling: Sampling) -> str:
    """Return docs/reference-strength.md in Markdown."""
    trainings = (
        "three trainings" if len(plans) == 3 else "one training" if len(plans) == 1 else f"{len(plans)} trainings"
    )
    strengths = [f"s = {strength:g}" for strength in (*STRENGTHS, BEYOND)]
    return "\n".join(
        [
            _head(plans[0], sampling, trainings),
            "## Answer",
            "",
            *_answer(findings),
            "",
            "## Adherence",
            "",
            "Mean edge F1 with its 95 % interval. Steps are between neighbouring strengths from 0 to 1: ↑ the interval of the "
            "paired difference is above 0, ↓ below, = it holds 0. Shares are of the whole rise, by step. The last column is "
            "what a step of sampling needs more than the network as trained.",
            "",
            *_table(("form", *strengths, "steps", "monotone in", "shares", "needs"), map(_adherence_cells, findings)),
            "",
            f"![Adherence over the strength, by form](images/{DRAWING})",
            "",
            "## Pictures",
            "",
            "Colour error, and after the stroke the likeness of the shape to the nearest valid one. The last column is the "
            "difference of the pictures at s = 0 from those of the plain base.",
            "",
            *_table(("form", *strengths, "at 0 from base"), map(_picture_cells, findings)),
            "",
        ]
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def curves(findings: Sequence[Finding]) -> str:
    """Return the drawing: a line a form, the mean over maps and trainings."""
    lines = {
        finding.form.title: [[(point.strength, point.adherence) for point in finding.points]] for finding in findings
    }
    return drawing(lines, STRENGTHS, 1)


def _head(plan: Plan, sampling: Sampling, trainings: str) -> str:
    width = 32 * plan.heads
    return f"""\
# A strength for reference latents

<!-- Written by `python -m benchmarks.reference_strength` from its own figures. -->

FLUX.2 klein takes a condition map as a reference: more tokens in the sequence, at their own place in time. It has no strength.
Is there a form of strength s under which adherence to the map grows from s = 0, which is the plain base, to s = 1, which is as
trained?

Here {trainings} of a tiny `Flux2Transformer2DModel` of diffusers ({plan.double} double and {plan.single} single blocks,
width {width}) from nothing: rectified flow, {plan.steps:,} steps of batch {plan.batch}, every {WITHOUT}th without a reference.
Pictures have {SIDE} x {SIDE} px in tokens of {PATCH} x {PATCH}, without an autoencoder: a circle or square on plain ground. The
text is the two colours, the map is the outline. Each form makes the same {sampling.maps} held-out pictures from the same noise
in {sampling.steps} Euler steps.

Adherence is the edge F1 of the app with a tolerance of {TOLERANCE} px. Pictures are judged by the distance of their pixels from the
nearer of the two prompted colours, and by the overlap of their shape with the nearest circle or square anywhere. A form holds
if s = 0 is the plain base, no step falls, neither in the mean nor in one training, adherence rises by {LEAST_RISE:g} or more, and
pictures are nowhere worse than at both ends by more than {MOST_ERROR:g} in colour or {LEAST_SHAPE:g} in shape.

`python -m benchmarks.reference_strength` trains, samples and writes this page; its figures are in
[reference-strength.jsonl](reference-strength.jsonl). So small a network shows what a form can do, not the numbers of FLUX.2.
"""


def _answer(findings: Sequence[Finding]) -> list[str]:
    holding = [finding for finding in findings if not finding.reasons]
    evenest = sorted(holding, key=lambda finding: max(finding.shares))
    lines = [
        f"- **{row.form.title}**: holds; its steepest quarter has {max(row.shares):.0%} of the rise." for row in evenest
    ]
    lines += [f"- {row.form.title}: does not hold: {'; '.join(row.reasons)}." for row in findings if row.reasons]
    verdict = (
        f"Yes: {len(holding)} of {len(findings)} forms hold, the most even first." if holding else "No form holds."
    )
    return [verdict, "", *lines]  # fmt: skip


def _adherence_cells(finding: Finding) -> list[str]:
    return [
        finding.form.title,
        *(_adherence_cell(point) if point else "" for point in (*finding.points, finding.beyond)),
        " ".join(ARROWS[step] for step in finding.steps),
        f"{sum(finding.monotone_alone)} of {len(finding.monotone_alone)}",
        ", ".join(f"{share:.0%}" for share in finding.shares),
        finding.form.needs,
    ]


def _adherence_cell(point: Point) -> str:
    low, high = point.interval
    return f"{point.adherence:.3f} ({low:.2f} to {high:.2f})"


def _picture_cells(finding: Finding) -> list[str]:
    points = (*finding.points, finding.beyond)
    cells = [f"{point.colour_error:.3f} / {point.shape:.2f}" if point else "" for point in points]
    return [finding.form.title, *cells, f"{finding.points[0].from_base:.3f}"]
