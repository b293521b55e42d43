"""Figures to docs/benchmarks.md. They are kept beside it as JSON, so that one measurement can be taken again alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine
from benchmarks.pipeline.counters import PARTS
from benchmarks.pipeline.measure import Result, Verdict
from benchmarks.wall import Wall

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
FIGURES = DOCUMENT.with_suffix(".json")
HEAD = """\
# Benchmarks

<!-- Written by `make bench` from its own figures. -->

Our pipeline against diffusers' `StableDiffusionControlNetPipeline`, both in one process on the very same networks: Stable
Diffusion 1.5 with a ControlNet at full size (random weights, which are as fast as trained ones; zero convolutions filled),
256 x 256 pixels, 8 steps, guidance 7.5, float32 where nothing else is said, text encoding and decoding included. Calls and
FLOPs are what counts: no other load on the machine changes them. `make bench` fails where a gate does not hold."""
COUNTERS = """\
Calls x batch size, ours / the reference's where they differ; a gate is a ratio of the two. Denoising is all but text encoding
and decoding."""
TIMES = """\
Medians over pairs of runs in the order A B B A, and the median of the pairs' ratios with its bootstrap 95 % interval."""
LEFT_OUT = """\
SDXL is not measured: at full size its networks take 19 GB in float32."""
PART_TITLES: Mapping[str, str] = {
    "unet": "U-Net",
    "controlnet": "ControlNet",
    "hint": "Hint encoder",
    "text": "Text encoder",
    "vae": "Decoder",
}


@dataclass(frozen=True)
class Waits:
    """Seconds by name; see benchmarks/app/waits.py."""

    seconds: Mapping[str, float]
    load: float
    machine: Machine


@dataclass(frozen=True)
class Figures:
    """All that the document shows."""

    results: tuple[Result, ...] = ()
    waits: Waits | None = None

    def updated(self, newer: Figures) -> Figures:
        """With what was measured again in place of what it was."""
        new = {result.id: result for result in newer.results}
        old = [new.pop(result.id, result) for result in self.results]
        return Figures((*old, *new.values()), newer.waits or self.waits)


def save(figures: Figures) -> None:
    """The document, and its figures beside it."""
    FIGURES.write_text(json.dumps(dataclasses.asdict(figures), indent=1) + "\n", encoding="utf-8")
    DOCUMENT.write_text(render(figures), encoding="utf-8")


def load() -> Figures:
    """Those of the document as it stands; none where there is no document."""
    if not FIGURES.exists():
        return Figures()
    values: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    waits: dict[str, Any] | None = values["waits"]
    if waits:
        waits["machine"] = Machine(**waits["machine"])
    return Figures(tuple(_result(row) for row in values["results"]), Waits(**waits) if waits else None)


def _result(row: dict[str, Any]) -> Result:
    wall: dict[str, Any] | None = row["wall"]
    if wall:
        wall |= {side: tuple(wall[side]) for side in ("ours", "reference")}
    nested: dict[str, Any] = {
        "gates": tuple(Verdict(**gate) for gate in row["gates"]),
        "wall": Wall(**wall) if wall else None,
        "machine": Machine(**row["machine"]),
    }
    return Result(**row | nested)


def render(figures: Figures) -> str:
    """The whole document."""
    return "\n\n".join([HEAD, *sections(figures), LEFT_OUT]) + "\n"


def sections(figures: Figures) -> list[str]:
    """Tables and what they were taken on: one machine after the other, where there are several."""
    parts: list[str] = []
    for machine, group in groupby(figures.results, key=lambda result: result.machine):
        parts += [_machine_line(machine), *_comparisons(list(group))]
    if figures.waits:
        parts += _waits(figures.waits)
    return parts


def _comparisons(results: Sequence[Result]) -> list[str]:
    notes = [f"{result.title}: {result.note}" for result in results if result.note]
    timed = [(result, result.wall) for result in results if result.wall]
    parts = ["## Work", COUNTERS, _table(_counter_head(), map(_counter_row, results)), *notes]
    if timed:
        head = (
            "Measurement",
            "Against",
            "Ours (s)",
            "Reference (s)",
            "Ratio",
            "95 %",
            "Pairs",
            "Load",
            "Steal",
            "Counts",
        )
        parts += ["## Time", TIMES, _table(head, (_time_row(result, wall) for result, wall in timed))]
    return parts


def _waits(waits: Waits) -> list[str]:
    rows = [(name.replace("_", " "), f"{seconds:.2f}") for name, seconds in waits.seconds.items()]
    about = f"The embedded model, four pictures of one photo; load {waits.load:.1f}. {_machine_line(waits.machine)}"
    return ["## What a user waits for", about, _table(("Part", "Seconds"), rows)]


def _machine_line(machine: Machine) -> str:
    flags = machine.flags or "none of note"
    return f"Taken on {machine.cpu} ({flags}), {machine.cores} cores, {machine.threads} threads; {machine.versions}."


def _counter_head() -> Sequence[str]:
    return ("Measurement", "Against", *(PART_TITLES[part] for part in PARTS), "TFLOP", "Gates", "Pictures")


def _counter_row(result: Result) -> Sequence[str]:
    calls = (_both(*(_calls(counts, part) for counts in (result.ours, result.reference))) for part in PARTS)
    flops = _both(*(f"{counts['flops'] / 1e12:.4g}" for counts in (result.ours, result.reference)))
    gates = "; ".join(map(_verdict, result.gates))
    return (result.title, result.against, *calls, flops, gates, _pictures(result))


def _calls(counts: Mapping[str, int], part: str) -> str:
    calls = counts.get(f"{part} calls", 0)
    return f"{calls}x{counts[f'{part} rows'] // calls}" if calls else "0"


def _both(ours: str, reference: str) -> str:
    return ours if ours == reference else f"{ours} / {reference}"


def _verdict(gate: Verdict) -> str:
    part, _, what = gate.counter.rpartition(" ")
    what = "FLOPs" if what == "flops" else what
    name = f"{PART_TITLES.get(part, part.capitalize())} {what}" if part else what
    return f"{name} {gate.ratio:.3f} ≤ {gate.at_most:.3f} {'holds' if gate.holds else '**fails**'}"


def _pictures(result: Result) -> str:
    if result.latent_difference is not None:
        apart = f"latents {result.latent_difference:.0e} apart"
        return f"equal, {apart}" if result.is_equal else f"**{apart}**"
    return "another is meant" if result.psnr is None else f"PSNR {result.psnr:.1f} dB"


def _time_row(result: Result, wall: Wall) -> Sequence[str]:
    low, high = wall.interval
    return (
        result.title,
        result.against,
        f"{wall.median_seconds[0]:.1f}",
        f"{wall.median_seconds[1]:.1f}",
        f"{wall.ratio:.3f}",
        f"{low:.3f} to {high:.3f}",
        str(len(wall.ours)),
        f"{wall.load:.1f}",
        f"{wall.steal:.1%}",
        f"no: {', '.join(wall.faults)}" if wall.faults else "yes",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))
