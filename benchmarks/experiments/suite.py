"""The runs: one training an arm and seed, each made once and kept in OUTPUT/results.jsonl."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from annotators.base import Image
from benchmarks.experiments.claims import (
    BATCH,
    NEAR,
    PAIRS,
    PLAN,
    PROBES,
    SIDE,
    STEPS,
    TUNING,
    Arm,
    Experiment,
    Values,
)
from benchmarks.experiments.document import COSTS, COSTS_COMMAND
from benchmarks.experiments.drawn import write_drawn
from benchmarks.pipeline.models import full_size, miniature
from benchmarks.training import cost, cost_text, middle_ratio, middle_text
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
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
from cnet_app.training.monitoring.probes import Probes
from cnet_app.training.run import Record, RunFolder
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from models.loader import Base, load_base, load_controlnet

COST_SIDE, COST_PAIRS = 256, 5
"""Side in px, and timed pairs of passes, at full size."""
MOST_MORE = 0.5
"""Share of memory and time up to which a ControlNet costs "somewhat" more."""


class Suite:
    """Data, base and the results so far."""

    def __init__(self, output: Path, results: Path, scale: float = 1.0) -> None:
        """`results` is the file of figures; `scale` shortens every run, for a try."""
        self.output, self._results, self._scale = output, results, scale
        self.known = self._read()

    def _read(self) -> dict[str, Values]:
        if not self._results.exists():
            return {}
        lines = (
            json.loads(text) for text in self._results.read_text(encoding="utf-8").splitlines() if text.endswith("}")
        )
        return {line["key"]: line for line in lines}

    def costs(self) -> str:
        """Return the section of memory and time at full size, measured where it is not known."""
        path = self.output / "costs.md"
        if not path.exists():
            base, size = (miniature().base, 64) if self._scale < 1 else (full_size(COST_SIDE).base, COST_SIDE)
            found, middle = cost(base, size, 1, COST_PAIRS), middle_ratio(base, size, 1, COST_PAIRS)
            verdict = "reproduced" if all(0 <= share <= MOST_MORE for share in found.more) else "not reproduced"
            head = f"## Cost: {verdict}\n\n{COSTS}"
            text = f"{head}\n\n{cost_text(found, size, 1)}\n\n{middle_text(middle)}\n\n{COSTS_COMMAND}\n"
            path.write_text(text, encoding="utf-8")
        return path.read_text(encoding="utf-8")

    def base(self) -> Base:
        """Return a newly loaded base: some runs change its decoder."""
        return load_base("embedded")

    def data(self, id: str) -> Path:
        """Return the folder of drawn pairs: of a condition, or of a name in drawn.py."""
        folder = self.output / "data" / id
        write_drawn(folder, id, PAIRS + PROBES, SIDE)
        return folder

    def result(self, arm: Arm, seed: int) -> Values:
        """Return the figures of a run, made where they are not known."""
        plan = self._plan(arm, seed)
        key = _key(plan, arm)
        if key not in self.known:
            self.known = self._read()  # another process may have made it
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

    def results(self, experiment: Experiment) -> dict[str, list[Values]]:
        """Return the known figures of an experiment, by arm, a seed after the other."""
        return {
            name: [
                self.known[key]
                for seed in range(experiment.seeds)
                if (key := _key(self._plan(arm, seed), arm)) in self.known
            ]
            for name, arm in experiment.arms.items()
        }

    def _plan(self, arm: Arm, seed: int) -> TrainingPlan:
        plan = replace(PLAN, seed=seed, steps=max(2, round(STEPS * self._scale)), **arm.changes)
        return replace(plan, unlock_after=max(1, round(plan.unlock_after * self._scale))) if plan.unlock_after else plan

    def _train(self, plan: TrainingPlan, arm: Arm, key: str) -> Values:
        folder = self.data(arm.data or plan.condition)
        run = RunFolder(self.output / "runs" / key)
        run.path.mkdir(parents=True, exist_ok=True)
        trainable = create_trainable(self.base(), plan)
        data = read_data(folder)
        held_out, pairs = data.pairs[:PROBES], data.pairs[PROBES : PROBES + arm.pairs]
        if arm.exchanged:
            pairs = tuple(
                replace(pair, control=other.control) for pair, other in zip(pairs, (*pairs[1:], pairs[0]), strict=True)
            )
        examples = encode_examples(pairs, plan, trainable, self.output / "cache" / folder.name)
        probes = Probes(held_out, data, plan, [(SIDE, SIDE)] * len(held_out), lambda control, width, height: control)
        records: list[Record] = []
        loop = Loop(run, plan, trainable, examples, probes, Accelerator(cpu=True), records.append)
        loop.train()
        seconds = [record.values["seconds"] for record in records if record.kind == "step"]
        looks, jump = loop.progress.looks, loop.progress.converged
        values: Values = {
            "looks": [list(look) for look in looks],
            "blank": looks[0][1],
            "jump": jump if jump is not None else 2 * plan.steps,
            "found": float(jump is not None),
            "steepest": steepest(looks),
            "found near": float(jump is not None and abs(jump - steepest(looks)) <= NEAR),
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
        second = load_controlnet(condition(other).controlnets[family], family, base_network=base.network)
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
            save_file({name: tensor.contiguous() for name, tensor in base.network.state_dict().items()}, path)
        base.network.load_state_dict(load_file(path))
        return base

    def _tune(self, base: Base) -> None:
        trainable = create_trainable(base, replace(PLAN, data="data"))
        pairs = read_data(self.data("canny")).pairs[:PAIRS]
        unet, objective = base.network.requires_grad_(True), trainable.objective
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


def _key(plan: TrainingPlan, arm: Arm) -> str:
    """Return the name of a run, by all that it depends on."""
    kind = [plan_to_json(plan), arm.pairs, arm.exchanged, arm.data]
    return hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:16]


def steepest(looks: Sequence[tuple[int, float]]) -> int:
    """Return the step after which the scores rise most, by the means of the two looks before and after each."""
    scores = [value for _, value in looks]
    rises = [sum(scores[at : at + 2]) - sum(scores[at - 2 : at]) for at in range(2, len(scores) - 1)]
    return looks[rises.index(max(rises)) + 2][0] if rises else 0


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
