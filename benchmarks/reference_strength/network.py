"""The network: a tiny FLUX.2 transformer, and its training by rectified flow with the map as a reference."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from benchmarks.reference_strength.task import CHANNELS, ROWS, WORDS, draw, to_tokens, to_words

TOKENS = ROWS * ROWS
"""Of a picture, and of a map."""
TIME = 10
"""Position of the first reference along the time axis, as in Flux2KleinPipeline._prepare_image_ids."""
WITHOUT = 4
"""Every so many steps of training one has no reference."""
GAIN = 2.0
"""Of queries and keys at first, so that an attention can be sharp early: the map is found sooner."""
SHIFT = 0.8
"""Of the noise level's logit: where there is much noise, the map is what places the shape."""
DECAY = 0.99
"""Of the moving average of the weights, which is sampled from."""


@dataclass(frozen=True)
class Plan:
    """A training; its weights are cached under its text, which leaves out the constants of the modules: delete them after a change."""

    heads: int = 3
    double: int = 1
    single: int = 3
    batch: int = 16
    steps: int = 1800
    rate: float = 3e-3
    """Of AdamW."""
    matrix_rate: float = 0.02
    """Of Muon, which takes the matrices of the blocks: with AdamW alone the map was not followed after 800 steps."""
    warm: int = 50
    seed: int = 0


def create_network(plan: Plan) -> Flux2Transformer2DModel:
    """Create fresh weights; width 32 a head."""
    torch.manual_seed(plan.seed)
    network = Flux2Transformer2DModel(
        in_channels=CHANNELS,
        num_layers=plan.double,
        num_single_layers=plan.single,
        attention_head_dim=32,
        num_attention_heads=plan.heads,
        joint_attention_dim=WORDS,
        timestep_guidance_channels=64,
        mlp_ratio=2.0,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    )
    for name, weight in network.named_parameters():
        if name.endswith(("_q.weight", "_k.weight")) and "norm" in name:
            torch.nn.init.constant_(weight, GAIN)
    return network


def velocity(
    network: Flux2Transformer2DModel,
    noisy: Tensor,
    noise_level: Tensor,
    words: Tensor,
    reference: Tensor | None,
    attention: dict[str, Any] | None = None,
) -> Tensor:
    """Return the predicted noise less picture, (N, TOKENS, CHANNELS). `noise_level` is (N,) in [0, 1], 1 is all noise.

    The sequence is text, picture, reference; `attention` goes to every attention.
    """
    latents = noisy if reference is None else torch.cat([noisy, reference], dim=1)
    made = network(
        hidden_states=latents,
        encoder_hidden_states=words,
        timestep=noise_level,
        img_ids=_places()[: latents.shape[1]],
        txt_ids=torch.tensor([[0, 0, 0, place] for place in range(words.shape[1])]),
        joint_attention_kwargs=attention,
        return_dict=False,
    )[0]
    return made[:, :TOKENS]


def _places() -> Tensor:
    """Return the positions (T, H, W, L) of the picture's tokens, then of the reference's."""
    rows, one = torch.arange(ROWS), torch.zeros(1, dtype=torch.int64)
    return torch.cat([torch.cartesian_prod(one + moment, rows, rows, one) for moment in (0, TIME)])


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that sums have one order and the figures are the same again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def loss_at(network: Flux2Transformer2DModel, plan: Plan, step: int) -> Tensor:
    """Return the loss of a step; its pictures, noise and levels follow from seed and step alone."""
    generator = torch.Generator().manual_seed(1_000_000 * (plan.seed + 1) + step)
    drawn = draw(plan.batch, generator)
    clean = to_tokens(drawn.pictures)
    noise = torch.randn(clean.shape, generator=generator)
    level = torch.sigmoid(SHIFT + torch.randn(plan.batch, generator=generator))
    noisy = torch.lerp(clean, noise, level[:, None, None])
    reference = None if step % WITHOUT == WITHOUT - 1 else to_tokens(drawn.maps)
    made = velocity(network, noisy, level, to_words(drawn.colours), reference)
    return torch.nn.functional.mse_loss(made, noise - clean)


@dataclass
class Training:
    """A network on its way, with all that a checkpoint needs to go on to the same weights."""

    network: Flux2Transformer2DModel
    average: Flux2Transformer2DModel
    adam: torch.optim.AdamW
    muon: torch.optim.Muon
    step: int = 0

    def update(self, plan: Plan) -> float:
        """Make one step; return its loss."""
        share = share_of_rate(plan, self.step)
        for optimiser, rate in ((self.adam, plan.rate), (self.muon, plan.matrix_rate)):
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = share * rate
        loss = loss_at(self.network, plan, self.step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.muon.step()
        self.step += 1
        decay = min(DECAY, self.step / (self.step + 9))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return loss.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        new = path.with_suffix(".new")
        torch.save({"step": self.step, **{name: part.state_dict() for name, part in self._parts().items()}}, new)
        new.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        kept = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(kept[name])
        self.step = int(kept["step"])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "adam": self.adam, "muon": self.muon}


def create_training(plan: Plan) -> Training:
    """Create a training at its beginning."""
    network = create_network(plan)
    named = list(network.named_parameters())
    matrices = [weight for name, weight in named if "blocks." in name and weight.ndim == 2]
    rest = [weight for name, weight in named if not ("blocks." in name and weight.ndim == 2)]
    return Training(
        network,
        deepcopy(network),
        torch.optim.AdamW(rest, lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.01),
        torch.optim.Muon(matrices, lr=plan.matrix_rate, weight_decay=0.01, momentum=0.95, ns_steps=4),
    )


def share_of_rate(plan: Plan, step: int) -> float:
    """Return the factor of the learning rates: a short rise, then a straight fall to zero."""
    return min((step + 1) / plan.warm, (plan.steps - step) / plan.steps)


@one_thread()
def train(
    plan: Plan, folder: Path, every: int = 200, look: Callable[[Training], None] = lambda _: None
) -> Flux2Transformer2DModel:
    """Return the averaged network of a plan, trained where it is not cached; a training that was stopped goes on.

    Every so many steps a checkpoint is written into `folder` and `look` is called, which may stop the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(repr(plan).encode()).hexdigest()[:16]}.pt"
    training = create_training(plan)
    if path.exists():
        training.restore(path)
    losses: dict[bool, list[float]] = {True: [], False: []}
    while training.step < plan.steps:
        has_reference = training.step % WITHOUT != WITHOUT - 1
        losses[has_reference].append(training.update(plan))
        if training.step % every == 0 or training.step == plan.steps:
            training.save(path)
            given, plain = (fmean(losses[kind][-every // WITHOUT :] or [nan]) for kind in (True, False))
            print(
                f"seed {plan.seed}, step {training.step}: loss {given:.4f} with the map, {plain:.4f} without",
                flush=True,
            )
            look(training)
    return training.average.requires_grad_(False).eval()
