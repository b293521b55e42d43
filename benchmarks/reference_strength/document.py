"""docs/reference-strength.md and its drawing, from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.experiments.curves import drawing
from benchmarks.reference_strength.forms import Form
from benchmarks.reference_strength.measures import TOLERANCE
from benchmarks.reference_strength.network import WITHOUT, Plan
from benchmarks.reference_strength.study import BEYOND, LOW, STRENGTHS, Sampling
from benchmarks.reference_strength.task import PATCH, SIDE
from benchmarks.reference_strength.verdicts import LEAST_RISE, LEAST_SHAPE, MOST_ERROR, Finding, Point, Step

DRAWING = "reference_strength.svg"
ARROWS: dict[Step, str] = {"rises": "↑", "level": "=", "falls": "↓"}

MAKING = """\
Both kinds of attention of FLUX.2, `Flux2Attention` of the double blocks and `Flux2ParallelSelfAttention` of the single ones, attend
over the same sequence, text, picture, reference, and pass their mask on to the softmax. So a bias is one matrix for all blocks, in
`joint_attention_kwargs={"attention_mask": bias}`, and no processor is needed. Values are scaled in the output of `to_v`, and in the
third part of that of `to_qkv_mlp_proj`. To mix attention outputs, a processor runs the usual one twice, with the reference and with
it masked; all after the softmax is linear in both kinds, so that whole outputs may be mixed.
"""


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
            "## Forms",
            "",
            *_table(("form", "what it does"), ([row.form.title, _words(row.form)] for row in findings)),
            "",
            MAKING,
            "## Adherence",
            "",
            "Mean edge F1 with its 95 % interval. Steps are between neighbouring strengths from 0 to 1: ↑ the interval of the "
            "paired difference is above 0, ↓ below, = it holds 0. Shares are of the whole rise, by step. Spread is the "
            "largest difference between trainings at one strength. The last column is what a step of sampling needs more than the "
            "network as trained.",
            "",
            *_table(
                ("form", *strengths, "steps", "monotone in", "shares", "spread", "needs"),
                map(_adherence_cells, findings),
            ),
            "",
            f"![Adherence over the strength, by form](images/{DRAWING})",
            "",
            "## Near zero",
            "",
            *_near_zero(findings),
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


def _words(form: Form) -> str:
    """Return the first line of a form's own description."""
    return (form.predict.__doc__ or "").partition("\n")[0].replace("|", "\\|")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def curves(findings: Sequence[Finding]) -> str:
    """Return the drawing: a thin line a training, a thick one the mean of a form."""
    lines = {
        finding.form.title: [list(zip(STRENGTHS, run, strict=True)) for run in finding.runs] for finding in findings
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
if s = 0 is the plain base, no step falls, neither in the mean nor in one training, nor does adherence fall below that of s = 0
near it, it rises by {LEAST_RISE:g} or more in all, and pictures are nowhere worse than at both ends by more than {MOST_ERROR:g} in colour or {LEAST_SHAPE:g} in shape.

`python -m benchmarks.reference_strength` trains, about four minutes of one core for each network, samples and writes this page; its
figures are in [reference-strength.jsonl](reference-strength.jsonl). So small a network shows what a form can do, not the numbers
of FLUX.2 klein, which makes its pictures in 4 steps.
"""


def _answer(findings: Sequence[Finding]) -> list[str]:
    holding = sorted((row for row in findings if not row.reasons), key=lambda row: max(row.shares))
    return [
        f"Yes, with {len(holding)} of {len(findings)} forms, the most even first:" if holding else "No form holds:",
        "",
        *(
            f"- **{row.form.title}** holds: the steepest quarter has {max(row.shares):.0%} of the rise, the trainings differ "
            f"by up to {row.spread:.2f}. Needs {row.form.needs}."
            for row in holding
        ),
        *(
            f"- {row.form.title}: no, {'; '.join(row.reasons)}.{_but(row)}" for row in findings if row.reasons
        ),
    ]  # fmt: skip


def _but(finding: Finding) -> str:
    """Return what is right of a form that does not hold."""
    rises = all(step == "rises" for step in finding.steps) and all(finding.monotone_alone)
    return " It rises at each of the five strengths." if rises else ""


def _near_zero(findings: Sequence[Finding]) -> list[str]:
    """Return the adherence and the shapes at low strengths."""
    rows = [
        [
            row.form.title,
            *(f"{point.adherence:.3f} / {point.shape:.2f}" for point in (row.points[0], *row.low, row.points[1])),
        ]
        for row in findings
        if row.low
    ]
    text = (
        " Where adherence and shape are lower than at 0, a reference that is hardly read is not an absent one: as the black map "
        "does, it counts as a map without lines, and the picture stays empty."
    )
    return [
        f"Adherence, and after the stroke the shape.{text if any(row.drops for row in findings) else ''}",
        "",
        *_table(("form", *(f"s = {strength:g}" for strength in (0, *LOW, STRENGTHS[1]))), rows),
    ]  # fmt: skip


def _adherence_cells(finding: Finding) -> list[str]:
    return [
        finding.form.title,
        *(_adherence_cell(point) if point else "" for point in (*finding.points, finding.beyond)),
        " ".join(ARROWS[step] for step in finding.steps),
        f"{sum(finding.monotone_alone)} of {len(finding.monotone_alone)}",
        ", ".join(f"{share:.0%}" for share in finding.shares),
        f"{finding.spread:.2f}",
        finding.form.needs,
    ]


def _adherence_cell(point: Point) -> str:
    low, high = point.interval
    return f"{point.adherence:.3f} ({low:.2f} to {high:.2f})"


def _picture_cells(finding: Finding) -> list[str]:
    points = (*finding.points, finding.beyond)
    cells = [f"{point.colour_error:.3f} / {point.shape:.2f}" if point else "" for point in points]
    return [finding.form.title, *cells, f"{finding.points[0].from_base:.3f}"]
