"""The paper's claims in miniature: `python -m benchmarks.experiments` trains on the embedded base and writes a document.

Every run is one training by cnet_app.training, of one arm with one seed; its figures are kept in OUTPUT/results.jsonl, so that
the suite can be cut into pieces (`--only ID`, `--minutes N`) and goes on where it was. Runs that several experiments share are
made once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from annotators.base import Image
from cnet_app.cli.output import write_png
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.embedded.world import control_images, create_sample
from cnet_app.fidelity.score import score
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TrainingPlan, plan_to_json
from cnet_app.request.units import ControlUnit
from cnet_app.training.data.cache import encode_examples
from cnet_app.training.data.pairs import Pair, read_control, read_image
from cnet_app.training.data.readers import read_data
from cnet_app.training.loop import Loop
from cnet_app.training.probes import Probes, split
from cnet_app.training.run import Record, RunFolder
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from models.loader import Base, load_base, load_controlnet

OUTPUT = Path("build/experiments")
SIDE, STEPS, PAIRS, PROBES, LOOK = 128, 400, 1200, 8, 25
"""Of every run: px, updates, pairs, held-out maps, updates between two looks."""
BATCH, RATE, TUNING = 8, 1e-3, 100
SEEDS = (0, 1, 2)
PROMPTS = ("none", "insufficient", "conflicting", "perfect")
"""The paper's settings (its figure 8): no prompt; one that names nothing of the picture; one that names other things; the
picture's own."""
Values = dict[str, Any]
PLAN = TrainingPlan(
    name="run", condition="canny", data="data", size=SIDE, steps=STEPS, batch_size=BATCH, learning_rate=RATE, probes=PROBES,
    probe_every=LOOK, probe_steps=10, checkpoint_every=10_000,
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the plan."""
    pairs: int = PAIRS


@dataclass(frozen=True)
class Experiment:
    """One claim of the paper."""

    id: str
    claim: str
    paper: str
    """The paper's number, or its words."""
    arms: Mapping[str, Arm]
    measures: tuple[str, ...]
    """Names of the values of a run that are shown."""
    holds: Callable[[Mapping[str, Mapping[str, float]]], bool]
    """Whether the means of the arms' values, by arm and name, show the claim."""


PLAIN = Arm("ControlNet, as in the paper")


def _above(arm: str, other: str, value: str, by: float = 0.0) -> Callable[[Mapping[str, Mapping[str, float]]], bool]:
    return lambda means: means[arm][value] > means[other][value] + by


EXPERIMENTS = (
    Experiment(
        "joints",
        "Zero convolutions keep what the copy learned; with Gaussian ones, or convolutions alone (ControlNet-lite), less of the map "
        "is followed, most of all without a prompt.",
        "figure 8: both ablations fail without a sufficient prompt",
        {
            "zero": PLAIN,
            "gaussian": Arm("Gaussian convolutions", {"joint": "gaussian"}),
            "lite": Arm("ControlNet-lite", {"network": "lite"}),
        },
        tuple(f"score, {prompt}" for prompt in PROMPTS),
        lambda means: all(means["zero"]["score, none"] > means[arm]["score, none"] for arm in ("gaussian", "lite")),
    ),
    Experiment(
        "prompts",
        "Half of the prompts emptied in training teaches the map's own meaning, for use without a prompt.",
        "50 % (section 3.3)",
        {"half": PLAIN, "none": Arm("no prompt emptied", {"empty_prompts": 0.0})},
        ("score, none", "score, perfect"),
        _above("half", "none", "score, none"),
    ),
    Experiment(
        "data",
        "Training does not collapse on little data, and more data helps.",
        "figure 10: 1 k recognisable, 50 k and 3 M better",
        {"100": Arm("100 pairs", pairs=100), "300": Arm("300 pairs", pairs=300), "1200": PLAIN},
        ("score, perfect", "blank"),
        lambda means: means["100"]["score, perfect"] > 2 * means["100"]["blank"] and means["1200"]["score, perfect"] > means["100"]["score, perfect"],
    ),
    Experiment(
        "locked",
        "A locked base suffices; unlocking its decoder fits the data closer.",
        "sd_locked=False fits a data set closer and must come late (its docs/train.md)",
        {"locked": PLAIN, "unlocked": Arm("decoder unlocked for the second half", {"unlock_after": STEPS // 2, "unlocked_learning_rate": 2e-4})},
        ("score, perfect", "milliseconds"),
        _above("unlocked", "locked", "score, perfect", -0.02),
    ),
    Experiment(
        "middle",
        "With the middle block alone a step is faster and less is followed.",
        "about 1.6 times as fast",
        {"all": PLAIN, "middle": Arm("only_mid_control", {"only_mid_control": True})},
        ("score, perfect", "milliseconds"),
        lambda means: means["middle"]["milliseconds"] < means["all"]["milliseconds"] and means["middle"]["score, perfect"] < means["all"]["score, perfect"],
    ),
    Experiment(
        "copy",
        "A copy of the base's encoder learns faster than one with random weights.",
        "the copy is the backbone (section 3.1)",
        {"copy": PLAIN, "fresh": Arm("random weights", {"initial": "fresh"})},
        ("score, perfect", "jump"),
        _above("copy", "fresh", "score, perfect"),
    ),
    Experiment(
        "convergence",
        "The map is followed suddenly; a larger batch or rate brings the jump forward in steps.",
        "between 6,100 and 6,133 steps of batch 32; usually below 10,000",
        {
            "plain": PLAIN,
            "batch 4": Arm("batch 4", {"batch_size": 4}),
            "batch 16": Arm("batch 16", {"batch_size": 16}),
            "half rate": Arm("half the learning rate", {"learning_rate": RATE / 2}),
            "double rate": Arm("double the learning rate", {"learning_rate": 2 * RATE}),
        },
        ("jump", "score, perfect"),
        lambda means: means["batch 16"]["jump"] < means["batch 4"]["jump"],
    ),
    Experiment(
        "composition",
        "ControlNets that were trained apart add up.",
        "figure 6: several conditions without any further training",
        {"canny": PLAIN, "depth": Arm("depth", {"condition": "depth", "start": "embedded_canny"})},
        ("score, none", "score with the other"),
        lambda means: all(means[arm]["score with the other"] > 0.8 * means[arm]["score, none"] for arm in ("canny", "depth")),
    ),
    Experiment(
        "transfer",
        "A ControlNet works on another base of its family without training.",
        "figure 12: community models",
        {"plain": PLAIN},
        ("score, perfect", "score on a tuned base", "blank"),
        lambda means: means["plain"]["score on a tuned base"] > 0.8 * means["plain"]["score, perfect"],
    ),
)  # fmt: skip


class Suite:
    """Data, base and the results so far."""

    def __init__(self, output: Path, scale: float = 1.0) -> None:
        """`scale` shortens every run, for a try."""
        self.output, self._scale = output, scale
        self._results = output / "results.jsonl"
        self.known = self._read()

    def _read(self) -> dict[str, Values]:
        if not self._results.exists():
            return {}
        lines = (
            json.loads(text) for text in self._results.read_text(encoding="utf-8").splitlines() if text.endswith("}")
        )
        return {line["key"]: line for line in lines}

    def base(self) -> Base:
        """Return a newly loaded base: some runs change its decoder."""
        return load_base("embedded")

    def data(self, id: str) -> Path:
        """Return the folder of the pairs of a condition, drawn where it is missing: procedural scenes with their captions."""
        folder = self.output / "data" / id
        done = folder / "done"
        if done.exists():
            return folder
        for name in ("images", "conditioning_images"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        written, seed = 0, 50_000
        while written < PAIRS + PROBES:
            sample = create_sample(seed, SIDE)
            maps = control_images(sample)
            seed += 1
            if id not in maps or "depth" not in maps:
                continue
            write_png(folder / "images" / f"{written:05d}.png", sample.image)
            write_png(folder / "conditioning_images" / f"{written:05d}.png", maps[id])
            (folder / "images" / f"{written:05d}.txt").write_text(sample.caption, encoding="utf-8")
            written += 1
        done.touch()
        return folder

    def result(self, arm: Arm, seed: int) -> Values:
        """Return the figures of a run, made where they are not known."""
        plan = replace(PLAN, data="data", seed=seed, steps=max(2, round(STEPS * self._scale)), **arm.changes)
        if plan.unlock_after:
            plan = replace(plan, unlock_after=max(1, round(plan.unlock_after * self._scale)))
        key = hashlib.sha256(json.dumps([plan_to_json(plan), arm.pairs], sort_keys=True).encode()).hexdigest()[:16]
        if key not in self.known:
            started = time.monotonic()
            values = self._train(plan, arm, key)
            line = {
                "key": key,
                "title": arm.title,
                "seed": seed,
                "seconds": round(time.monotonic() - started),
                **values,
            }
            with self._results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self.known[key] = line
            print(
                f"{arm.title}, seed {seed}: {json.dumps({name: one for name, one in values.items() if name != 'looks'})}",
                flush=True,
            )
        return self.known[key]

    def _train(self, plan: TrainingPlan, arm: Arm, key: str) -> Values:
        folder = self.data(plan.condition)
        run = RunFolder(self.output / "runs" / key)
        run.path.mkdir(parents=True, exist_ok=True)
        trainable = create_trainable(self.base(), plan)
        data = read_data(folder)
        pairs, held_out = split(data, None, replace(plan, seed=0))
        examples = encode_examples(pairs[: arm.pairs], plan, trainable, self.output / "cache" / plan.condition)
        probes = Probes(held_out, data, plan, [(SIDE, SIDE)] * len(held_out), lambda control, width, height: control)
        records: list[Record] = []
        loop = Loop(run, plan, trainable, examples, probes, Accelerator(cpu=True), records.append)
        loop.train()
        seconds = [record.values["seconds"] for record in records if record.kind == "step"]
        looks = loop.progress.looks
        values: Values = {
            "looks": [list(look) for look in looks],
            "blank": looks[0][1],
            "jump": loop.progress.converged if loop.progress.converged is not None else 2 * plan.steps,
            "milliseconds": round(1000 * statistics.median(seconds[2:] or seconds), 1),
        }
        return values | self._scores(trainable, held_out, plan)

    def _scores(self, trainable: Trainable, held_out: Sequence[Pair], plan: TrainingPlan) -> Values:
        """Score the probes under the four prompt settings, with a second ControlNet, and on a tuned base."""
        kind, family = condition(plan.condition).kind, trainable.facts.id
        controls = [read_control(pair, kind) for pair in held_out]
        captions = [pair.caption for pair in held_out]
        network, base = trainable.for_pictures(), trainable.base
        found: Values = {
            f"score, {name}": self._score(base, [network], plan, [controls], prompts)
            for name, prompts in _prompts(captions).items()
        }
        other = "depth" if plan.condition == "canny" else "canny"
        folder, other_kind = self.data(other), condition(other).kind
        pairs = {pair.name: pair for pair in read_data(folder).pairs}
        others = [read_control(pairs[pair.name], other_kind) for pair in held_out]
        second = load_controlnet(condition(other).controlnets[family], family, unet=base.unet)
        nothing = [""] * len(captions)
        found["score with the other"] = self._score(base, [network, second], plan, [controls, others], nothing)
        found["score on a tuned base"] = self._score(self.tuned_base(), [network], plan, [controls], captions)
        return found

    def tuned_base(self) -> Base:
        """Return the base, its U-Net trained on for TUNING steps on the pictures with their colours rotated."""
        base = self.base()
        path = self.output / "tuned.safetensors"
        if not path.exists():
            self._tune(base)
            save_file({name: tensor.contiguous() for name, tensor in base.unet.state_dict().items()}, path)
        base.unet.load_state_dict(load_file(path))
        return base

    def _tune(self, base: Base) -> None:
        trainable = create_trainable(base, replace(PLAN, data="data"))
        pairs = read_data(self.data("canny")).pairs[:PAIRS]
        unet, objective = base.unet.requires_grad_(True), trainable.objective
        optimizer = torch.optim.AdamW(unet.parameters(), lr=2e-4)
        generator = torch.Generator().manual_seed(9)
        for _ in range(max(1, round(TUNING * self._scale))):
            chosen = [pairs[int(n)] for n in torch.randint(len(pairs), (BATCH,), generator=generator)]
            images = np.stack([read_image(pair)[..., [1, 2, 0]] for pair in chosen])
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
            latents = trainable.sample(trainable.encode_moments(pixels), torch.zeros(()))
            noise = torch.randn(latents.shape, generator=generator)
            timesteps = objective.draw_timesteps(BATCH, generator)
            text = trainable.text(trainable.encode_prompts([pair.caption for pair in chosen]), SIDE, SIDE)
            prediction = unet(
                objective.add_noise(latents, noise, timesteps), timesteps, text.states, return_dict=False
            )[0]
            objective.losses(prediction, latents, noise, timesteps).mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        unet.requires_grad_(False)

    def _score(
        self,
        base: Any,
        networks: Sequence[Any],
        plan: TrainingPlan,
        controls: Sequence[Sequence[Image]],
        prompts: Sequence[str],
    ) -> float:
        """Return the mean agreement with the first condition's maps."""
        scores: list[float] = []
        for number, prompt in enumerate(prompts):
            units = tuple(create_unit(plan.condition, maps[number]) for maps in controls)
            request = GenerationRequest(prompt=prompt, units=units, width=SIDE, height=SIDE, num_inference_steps=plan.probe_steps, seed=1000 + number)  # fmt: skip
            (picture,) = pipeline.generate(base, networks, request, cache=EncodingCache())
            agreement = score(units[0], picture).agreement
            scores.append(agreement or 0.0)
        return round(statistics.fmean(scores), 4)


def create_unit(id: str, control: Image) -> ControlUnit:
    """Return a unit with a map."""
    return ControlUnit(condition=id, control_image=encode_png(control))


def _prompts(captions: Sequence[str]) -> dict[str, list[str]]:
    """Return the prompts of each setting; a conflicting one is another picture's."""
    others = [*captions[1:], captions[0]]
    return {
        "none": [""] * len(captions),
        "insufficient": ["a picture"] * len(captions),
        "conflicting": others,
        "perfect": list(captions),
    }


def means(experiment: Experiment, results: Mapping[str, Sequence[Values]]) -> dict[str, dict[str, float]]:
    """Return the mean of every value that is shown, or that the verdict needs, by arm."""
    return {
        arm: {name: statistics.fmean(run[name] for run in runs) for name in NUMBERS}
        for arm, runs in results.items()
        if arm in experiment.arms
    }


NUMBERS = (
    *(f"score, {name}" for name in PROMPTS), "score with the other", "score on a tuned base", "blank", "jump", "milliseconds",
)  # fmt: skip


def section(experiment: Experiment, results: Mapping[str, Sequence[Values]]) -> str:
    """Return the section of an experiment in Markdown: claim, table, verdict."""
    found = means(experiment, results)
    verdict = "reproduced" if experiment.holds(found) else "not reproduced"
    lines = [
        f"## {experiment.id.capitalize()}: {verdict}",
        "",
        experiment.claim,
        "",
        f"The paper: {experiment.paper}.",
        "",
        f"| arm | {' | '.join(experiment.measures)} |",
        f"|---|{'---|' * len(experiment.measures)}",
    ]
    for arm, row in experiment.arms.items():
        cells = (_cell([run[name] for run in results[arm]], name) for name in experiment.measures)
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"`python -m benchmarks.experiments --only {experiment.id}`", ""])


def _cell(values: Sequence[float], name: str) -> str:
    """Return mean and range over the seeds."""
    if name == "jump":
        return ", ".join(f"{value:.0f}" if value <= STEPS else "none" for value in values)
    digits = 1 if name == "milliseconds" else 3
    return f"{statistics.fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def document(sections: Sequence[str]) -> str:
    """Return docs/experiments.md."""
    return "\n".join([HEAD, *sections, TAIL])


HEAD = f"""\
# Experiments

<!-- Written by `python -m benchmarks.experiments` from its own figures. -->

The claims of the paper (arXiv 2302.05543) in miniature, each by the trainer that users have: ControlNets on the embedded base,
{SIDE} px, {STEPS} steps of batch {BATCH}, learning rate {RATE:g}, {PAIRS:,} procedural pictures with their Canny maps, {len(SEEDS)} seeds. A
score is the mean agreement (edge F1 within 2 px for Canny) of {PROBES} pictures with held-out maps, {PLAN.probe_steps} denoising
steps, no guidance; the range is over the seeds. "Blank" is the score before the first step. "Jump" is the step of the sudden
convergence that the trainer's detector found, one for each seed, "none" where it found none.

A verdict compares means; with {len(SEEDS)} seeds and so small a base it shows a direction, not a size.
"""
TAIL = """\
## Not testable here

- Fidelity ranked by people, FID and CLIP scores against other methods (tables 1 and 3): they need people, a real base and
  thousands of pictures. `evaluate` and the Rank page are there for who has them.
- 50 k and 3 M pairs: the procedural world has them, two cores do not have the days.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing of the wanted experiments, and write the document once all are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="ID", choices=[row.id for row in EXPERIMENTS], help="may be repeated"
    )
    parser.add_argument("--minutes", type=float, metavar="N", default=1e9, help="begin no run after this time")
    parser.add_argument("--seeds", type=int, metavar="N", default=len(SEEDS), help="of each arm")
    parser.add_argument("--output", type=Path, metavar="DIR", default=OUTPUT)
    parser.add_argument(
        "--scale", type=float, metavar="X", default=1.0, help="shorter runs, for a try; writes no document"
    )
    parser.add_argument("--document", type=Path, metavar="FILE", default=Path("docs/experiments.md"))
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    suite, ends = Suite(args.output, args.scale), time.monotonic() + 60 * args.minutes
    sections: list[str] = []
    for seed_count in range(1, args.seeds + 1):  # all arms with one seed first: a suite that is cut has whole tables
        sections = []
        for experiment in EXPERIMENTS:
            if args.only and experiment.id not in args.only:
                continue
            results: dict[str, list[Values]] = {}
            for name, arm in experiment.arms.items():
                for seed in SEEDS[:seed_count]:
                    if time.monotonic() > ends:
                        print("The time is over; run the command again to go on.")
                        return 0
                    results.setdefault(name, []).append(suite.result(arm, seed))
            sections.append(section(experiment, results))
    text = document(sections)
    if args.scale == 1.0 and not args.only:
        args.document.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
