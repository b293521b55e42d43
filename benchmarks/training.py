"""`python -m benchmarks.training`: a step of our trainer against diffusers' loop, and control against plain fine-tuning.

Both run Stable Diffusion 1.5 at full size with random weights, which are as fast as trained ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from diffusers import ControlNetModel, DDPMScheduler
from PIL import Image as Pillow
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

from benchmarks.data.drawn_pairs import write_pairs
from benchmarks.machine import this_machine
from benchmarks.pipeline.counters import flop_counter
from benchmarks.pipeline.models import full_size, miniature
from benchmarks.wall import Wall, measure_pairs, seconds_of, time_pairs
from cnet_app.request.training import TrainingPlan
from cnet_app.training.data.cache import encode_examples
from cnet_app.training.data.pairs import DataSet
from cnet_app.training.data.readers import read_data
from cnet_app.training.loop import Loop
from cnet_app.training.memory.estimate import Memory, counted, saved_bytes
from cnet_app.training.run import RunFolder
from cnet_app.training.start import DTYPES, create_accelerator
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from models.loader import Base
from models.machine.allocator import keep_freed
from models.machine.memory import module_bytes

PAIRS = 8
MOST_RATIO = 0.6
"""Time of a step with cached latents and prompts, over that of one which encodes them."""
BYTES_OF_ADAM = 8
"""AdamW keeps two float32 numbers for each that it trains."""
STEPS = 6
"""Timed in a turn of each side, after a first one."""
Step = Callable[[], object]
CreateStep = Callable[[Base, TrainingPlan, DataSet, Path], Step]


def create_plan(size: int, batch: int, precision: str = "float32", **values: Any) -> TrainingPlan:
    """Return the plan of a run that no test or look interrupts."""
    plain: dict[str, Any] = {
        "name": "benchmark", "condition": "canny", "data": "data", "size": size, "batch_size": batch, "steps": 1_000_000,
        "checkpoint_every": 1_000_000, "probe_every": 0, "precision": precision,
    }  # fmt: skip
    return TrainingPlan(**plain | values)


def our_step(base: Base, plan: TrainingPlan, data: DataSet, folder: Path) -> Step:
    """Return one update of our loop; pictures and prompts are encoded before."""
    trainable = create_trainable(base, plan)
    examples = encode_examples(data.pairs, plan, trainable, folder / "cache")
    accelerator = create_accelerator(plan, base.device)
    loop = Loop(RunFolder(folder / "run"), plan, trainable, examples, None, accelerator, lambda record: None)
    return loop.update


def diffusers_step(base: Base, plan: TrainingPlan, data: DataSet, folder: Path) -> Step:
    """Return one update as examples/controlnet/train_controlnet.py makes it, with diffusers' own classes."""
    accelerator: Any = create_accelerator(plan, base.device)
    controlnet: Any = ControlNetModel.from_unet(base.network)
    controlnet.train()
    optimizer: Any = torch.optim.AdamW(controlnet.parameters(), lr=plan.learning_rate)
    controlnet, optimizer = accelerator.prepare(controlnet, optimizer)
    scheduler: Any = DDPMScheduler.from_config(base.scheduler.config)  # pyright: ignore[reportUnknownMemberType]
    tokenizer, encoder = base.tokenizers[0], base.text_encoders[0]
    resize = transforms.Resize(plan.size, interpolation=transforms.InterpolationMode.BILINEAR)
    to_map: Any = transforms.Compose([resize, transforms.CenterCrop(plan.size), transforms.ToTensor()])
    to_picture: Any = transforms.Compose([to_map, transforms.Normalize([0.5], [0.5])])
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Any, Any, Any]:
        chosen = [data.pairs[int(n)] for n in torch.randint(len(data.pairs), (plan.batch_size,), generator=generator)]
        empty = torch.rand(len(chosen), generator=generator) < plan.empty_prompts
        captions = ["" if bare else pair.caption for pair, bare in zip(chosen, empty, strict=True)]
        length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        ids = tokenizer(captions, max_length=length, padding="max_length", truncation=True, return_tensors="pt")
        pictures = torch.stack([to_picture(_open(pair.image)) for pair in chosen])
        return pictures, torch.stack([to_map(_open(pair.control)) for pair in chosen]), ids.input_ids

    def step() -> None:
        pictures, hints, ids = batch()
        latents = base.vae.encode(pictures.to(base.dtype)).latent_dist.sample() * base.vae.config["scaling_factor"]
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),))
        noisy = scheduler.add_noise(latents, noise, timesteps)
        states = encoder(ids, return_dict=False)[0]
        down, middle = controlnet(
            noisy, timesteps, encoder_hidden_states=states, controlnet_cond=hints, return_dict=False
        )
        prediction = base.network(
            noisy,
            timesteps,
            encoder_hidden_states=states,
            down_block_additional_residuals=[one.to(base.dtype) for one in down],
            mid_block_additional_residual=middle.to(base.dtype),
            return_dict=False,
        )[0]
        accelerator.backward(F.mse_loss(prediction.float(), noise.float(), reduction="mean"))
        accelerator.clip_grad_norm_(controlnet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _open(source: Any) -> Pillow.Image:
    return Pillow.open(source.path).convert("RGB")


@dataclass(frozen=True)
class StepRatio:
    """Our step with cached latents and prompts, and diffusers'."""

    flops: tuple[int, int]
    wall: Wall


@dataclass(frozen=True)
class Setting:
    """Settings of a training, the same for both sides."""

    size: int
    batch: int
    precision: str = "float32"
    tiny: bool = False
    """A miniature, in place of Stable Diffusion 1.5."""
    same_allocator: bool = False
    """Let diffusers' side keep freed memory too, as our trainer does."""


def step_ratio(setting: Setting, pairs: int, steps: int = STEPS) -> StepRatio:
    """Count and time our steps and diffusers', in turn, on the same base and pictures.

    Each turn is a process that trains alone, as trainings do: two in one memory slow each other down. Miniatures share one.
    """
    flops = {create: _in_process(create, setting, 0) for create in (our_step, diffusers_step)}
    ours, theirs = (partial(_in_process, create, setting, steps) for create in flops)
    return StepRatio((int(flops[our_step]), int(flops[diffusers_step])), measure_pairs(ours, theirs, pairs))


def _in_process(create: CreateStep, setting: Setting, steps: int) -> float:
    if setting.tiny:
        return _train(create, setting, steps)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_train, create, setting, steps).result()


def _train(create: CreateStep, setting: Setting, steps: int) -> float:
    """Return the median seconds of so many steps after a first one; the FLOPs of that one where none are asked for.

    Puts what is not trained into the number format, as both trainers do.
    """
    base, dtype = create_base(setting), DTYPES[setting.precision]
    for network in (base.network, base.vae, *base.text_encoders):
        nn.Module.to(network, dtype)
    keeping = keep_freed() if create is our_step or setting.same_allocator else nullcontext()  # as `run_training` does
    with keeping, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder / "data", "canny", PAIRS, setting.size)
        plan, data = create_plan(setting.size, setting.batch, setting.precision), read_data(folder / "data")
        step = create(replace(base, dtype=dtype), plan, data, folder)
        if not steps:
            with flop_counter() as counter:
                step()
            return counter.get_total_flops()
        step()
        return median(seconds_of(step) for _ in range(steps))


def create_base(setting: Setting) -> Base:
    """Return the base that is trained on."""
    return miniature().base if setting.tiny else full_size(setting.size).base


@dataclass(frozen=True)
class Cost:
    """Training a ControlNet, and training the base itself on the same batch."""

    control: Memory
    plain: Memory
    passes: Wall
    """There and back: the ControlNet's, and the base's own."""
    updates: tuple[float, float]
    """Seconds that the optimiser takes for all trained weights."""

    @property
    def seconds(self) -> tuple[float, float]:
        """Return the time of one step."""
        return tuple(one + two for one, two in zip(self.passes.median_seconds, self.updates, strict=True))  # pyright: ignore[reportReturnType]

    @property
    def more(self) -> tuple[float, float]:
        """Return by which share the ControlNet takes more memory and time."""
        with_control, plain = self.seconds
        return self.control.total / self.plain.total - 1, with_control / plain - 1


class Passes:
    """One pass there and back on random latents and prompts: encoding them costs every way to train the same."""

    def __init__(self, base: Base, size: int, batch: int) -> None:
        self._base, side = base, size // base.vae_scale_factor
        self._noisy = torch.randn(batch, 4, side, side)
        self._hints = torch.rand(batch, 3, size, size)
        self._timesteps = torch.full((batch,), 500)
        self._states = torch.randn(batch, 77, base.network.config["cross_attention_dim"])

    def control(self, trainable: Trainable) -> None:
        """Of a ControlNet on the locked base."""
        self._base.network.requires_grad_(False)
        self._back(trainable.module(self._noisy, self._timesteps, self._hints, self._states, None))

    def plain(self) -> None:
        """Of the base itself."""
        self._base.network.requires_grad_(True)
        self._back(self._base.network(self._noisy, self._timesteps, self._states, return_dict=False)[0])

    def _back(self, prediction: Any) -> None:
        F.mse_loss(prediction, self._noisy).backward()


def cost(base: Base, size: int, batch: int, pairs: int) -> Cost:
    """Return memory and time of a step with a ControlNet, and of plain fine-tuning. The paper: +23 % and +34 %.

    Memory is counted: weights, gradients and the optimiser's state by their numbers, activations as autograd keeps them.
    """
    plan, passes_of = create_plan(size, batch), Passes(base, size, batch)
    trainable = create_trainable(base, plan)
    control, plain = partial(passes_of.control, trainable), passes_of.plain
    kept = saved_bytes(control, trainable.module), saved_bytes(plain, base.network)
    passes = time_pairs(control, plain, pairs)
    updates = _update_seconds(trainable.for_pictures()), _update_seconds(base.network)
    base.network.requires_grad_(False)
    own = module_bytes([base.network])
    locked = module_bytes([base.vae, *base.text_encoders])
    return Cost(
        replace(counted(plan, trainable), activations=kept[0]),
        Memory(locked, own, own, own // 4 * BYTES_OF_ADAM, average=0, activations=kept[1]),
        passes,
        updates,
    )


def middle_ratio(base: Base, size: int, batch: int, pairs: int) -> Wall:
    """Return the times of a pass with the middle block alone controlled, and of a whole one, in turn."""
    passes = Passes(base, size, batch)
    middle, whole = (
        partial(passes.control, create_trainable(base, create_plan(size, batch, only_mid_control=only)))
        for only in (True, False)
    )
    for one in (middle, whole):
        one()
    return time_pairs(middle, whole, pairs)


def _update_seconds(network: Any) -> float:
    """Return the time of AdamW's second update; the first makes its state. Frees that state and the gradients."""
    optimizer, seconds = torch.optim.AdamW(network.parameters(), lr=1e-9), 0.0
    for _ in range(2):
        started = time.perf_counter()
        optimizer.step()
        seconds = time.perf_counter() - started
    optimizer.zero_grad(set_to_none=True)
    return seconds


def step_text(found: StepRatio, setting: Setting) -> str:
    """Return the step's ratios in sentences."""
    wall, counted = found.wall, [flops / 1e12 for flops in found.flops]
    low, high = wall.interval
    ours, theirs = wall.median_seconds
    return (
        f"A step of batch {setting.batch} at {setting.size} px in {setting.precision}: {ours:.2f} s with cached latents and prompts, "
        f"{theirs:.2f} s as diffusers' trainer makes it; ratio {wall.ratio:.3f} (95 %: {low:.3f} to {high:.3f}, {len(wall.ours)} pairs, load {wall.load:.1f}). "
        f"{'Both keep freed memory. ' if setting.same_allocator else ''}Counted: {counted[0]:.3g} and {counted[1]:.3g} TFLOP, ratio {counted[0] / counted[1]:.3f}."
    )


def cost_text(found: Cost, size: int, batch: int) -> str:
    """Return the costs as a table in Markdown."""
    (memory, duration), seconds = found.more, found.seconds
    rows = [
        f"| {title} | {' | '.join(f'{value:,}' for value in part.megabytes().values())} | {taken:.2f} |"
        for title, part, taken in (
            ("ControlNet", found.control, seconds[0]),
            ("plain fine-tuning", found.plain, seconds[1]),
        )
    ]
    head = [*(f"{name} (MB)" for name in found.plain.megabytes()), "seconds a step"]
    return "\n".join(
        [
            f"Stable Diffusion 1.5 at full size with random weights, {size} px, batch {batch}, float32:",
            "",
            f"| trained | {' | '.join(head)} |",
            f"|---|{'---|' * len(head)}",
            *rows,
            "",
            f"A ControlNet takes {memory:+.0%} memory and {duration:+.0%} time of plain fine-tuning.",
        ]
    )


def middle_text(wall: Wall) -> str:
    """Return the gain of `only_mid_control` as a sentence."""
    low, high = wall.interval
    return (
        f"With the middle block alone a pass there and back is {1 / wall.ratio:.2f} times as fast (95 %: {1 / high:.2f} to "
        f"{1 / low:.2f}); the paper's authors name 1.6."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a step takes too long a share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--only", choices=("step", "cost"), help="one of the two")
    parser.add_argument(
        "--size", type=int, default=256, metavar="PX", help="side of the pictures (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="pairs in a step (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=sorted(DTYPES), default="float32", help="of a step's passes (default: %(default)s)"
    )
    parser.add_argument("--pairs", type=int, default=7, metavar="N", help="timed pairs (default: %(default)s)")
    parser.add_argument("--same-allocator", action="store_true", help="diffusers' side keeps freed memory too")
    parser.add_argument("--tiny", action="store_true", help="a miniature, in seconds")
    args = parser.parse_args(arguments)
    args.size = 64 if args.tiny else args.size
    if args.precision != "float32" and args.only != "step":
        parser.error(f"--precision is {args.precision}, but costs are measured in float32 alone; add --only step")
    setting = Setting(args.size, args.batch, args.precision, args.tiny, args.same_allocator)
    machine, ratio = this_machine(), 0.0
    print(
        f"{machine.cpu} ({machine.flags}), {machine.cores} cores, {machine.threads} threads; {machine.versions}.",
        flush=True,
    )
    if args.only != "cost":
        found = step_ratio(setting, args.pairs)
        ratio = found.wall.ratio
        print(step_text(found, setting), flush=True)
    if args.only != "step":
        base = create_base(setting)
        print(cost_text(cost(base, args.size, args.batch, args.pairs), args.size, args.batch), flush=True)
        print(middle_text(middle_ratio(base, args.size, args.batch, args.pairs)))
    return int(ratio > MOST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
