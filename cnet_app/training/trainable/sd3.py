"""ControlNets of SD 3 and SD 3.5: a copy of the base's first blocks, joined by zero projections, trained by flow matching.

They are what diffusers' `from_transformer` makes, and read what a ControlNet reads in a picture's pipeline: the prompt's vector,
and the map as latents. Those that a training goes on from are read as `cnet_app.diffusion.backbones.sd3` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import SD3ControlNetModel
from torch import Tensor, nn

from cnet_app.diffusion.backbones import sd3
from cnet_app.diffusion.backbones.base import Text
from cnet_app.diffusion.backbones.tokens import inner_width
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.request.training import TrainingPlan
from cnet_app.training.objective import FlowObjective, Objective
from cnet_app.training.trainable.common import CommonTrainable
from cnet_app.training.trainable.files import save_diffusers
from models.errors import InputError
from models.loader import load_controlnet

BLOCKS = 12
"""Blocks of a new ControlNet, as diffusers' trainer has them; half of the base's where it has fewer than twice as many."""


class Controlled(nn.Module):
    """A transformer with its control; autoencoder and text encoders stay outside, since maps and words are encoded once."""

    def __init__(self, transformer: Any, control: Any) -> None:
        super().__init__()
        self.transformer, self.control = transformer, control

    def forward(
        self, noisy: Tensor, timesteps: Tensor, hints: Tensor, states: Tensor, added: dict[str, Tensor] | None
    ) -> Tensor:
        """Return the prediction, (B, C, h, w)."""
        assert added is not None
        rows = sd3.control_rows(self.control, self.transformer, noisy, timesteps, hints, Text(states, added))
        dtype = self.transformer.dtype
        return self.transformer(
            hidden_states=noisy.to(dtype),
            timestep=timesteps,
            encoder_hidden_states=states,
            pooled_projections=added[sd3.POOLED],
            block_controlnet_hidden_states=[row.to(dtype) for row in rows],
            return_dict=False,
        )[0]


class SD3Trainable(CommonTrainable):
    """A Trainable."""

    def create_control(self) -> Any:
        transformer, start = self._base.network, self._plan.start
        network: Any = create_network(transformer, self._plan) if start is None else None
        if network is None:
            network = load_controlnet(str(start), self._base.family, base_network=transformer)
            check_start(network, transformer, str(start))
        network.requires_grad_(True)
        for part in unread_parts(network):
            part.requires_grad_(False)
        return network

    def create_module(self) -> nn.Module:
        return Controlled(self._base.network, self._control)

    @property
    def objective(self) -> Objective:
        return FlowObjective(self._base.scheduler)

    def unlock(self) -> None:
        raise AssertionError("a plan for SD 3.5 unlocks nothing")

    @property
    def hint_key(self) -> str:
        network = self._control
        return f"sd3 {network.context_embedder is None} {network.config['force_zeros_for_pooled_projection']}"

    @torch.no_grad()
    def encode_hint(self, control_image: Tensor) -> Tensor:
        image = control_image.expand(3, -1, -1)[None].float() / 255
        hint = sd3.hint_latents(self._base, self._control, self._plan.condition, image, EncodingCache())
        return hint[0].cpu()

    @property
    def readers(self) -> Sequence[tuple[Any, int]]:
        return [(self._base.tokenizers[-1], sd3.longest(self._base))]

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        states, pooled = sd3.encode_words(self._base, prompts)
        return {"states": states.float().cpu(), "pooled": pooled.float().cpu()}

    def text(self, encoded: Mapping[str, Tensor], width: int, height: int) -> Text:
        """Raises InputError where a picture is larger than the base knows."""
        sd3.check_sides(self._base, width, height)
        states, pooled = (encoded[name].to(self._base.device, self._base.dtype) for name in ("states", "pooled"))
        return Text(states, {sd3.POOLED: pooled})

    def save(self, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
        return save_diffusers(self._control, folder, metadata)


def create_network(transformer: Any, plan: TrainingPlan) -> Any:
    """Return a new ControlNet for a base's transformer, as the plan begins it; the same seed makes the same one."""
    blocks = len(transformer.transformer_blocks)
    copied = SimpleNamespace(  # with a config of its own, since diffusers writes into the one that it is given
        config=dict(transformer.config) | {"force_zeros_for_pooled_projection": False},
        pos_embed=transformer.pos_embed,
        time_text_embed=transformer.time_text_embed,
        context_embedder=transformer.context_embedder,
        transformer_blocks=transformer.transformer_blocks,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network: Any = SD3ControlNetModel.from_transformer(
            copied,
            num_layers=min(BLOCKS, max(1, blocks // 2)),
            num_extra_conditioning_channels=0,
            load_weights_from_transformer=plan.initial == "copy",
        )
        if plan.joint == "gaussian":
            fill_joints(network)
    return network


def fill_joints(network: Any) -> None:
    """Give Gaussian weights to the projections that are zero at the first step: the paper's ablation."""
    for layer in (network.pos_embed_input.proj, *network.controlnet_blocks):
        nn.init.xavier_normal_(layer.weight)


def unread_parts(network: Any) -> list[nn.Module]:
    """Return the parts whose result nothing reads: the words that the last block returns."""
    if network.context_embedder is None:
        return []
    last = network.transformer_blocks[-1]
    return [last.attn.to_add_out, last.ff_context]


def check_start(network: Any, transformer: Any, id: str) -> None:
    """Raise InputError where a loaded network cannot be trained on as it is."""
    if network.config["extra_conditioning_channels"]:
        raise InputError(f"start is {id!r}, which also reads a mask; choose a ControlNet that reads a map alone.")
    own, wanted = (inner_width(part.config) for part in (network, transformer))
    if own != wanted:
        raise InputError(
            f"start is {id!r}, which was made for a base of {own} channels, but this one has {wanted}; choose a ControlNet "
            "made for it, or leave start out."
        )
