"""One input of a union ControlNet, used like any other ControlNet."""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers import ControlNetUnionModel
from torch import Tensor, nn


class UnionInput(ControlNetUnionModel):
    """A union ControlNet that is always given one map of one kind."""

    control_type: int = 0
    """Which kind: 0 openpose, 1 depth, 2 soft edge or scribble, 3 hard edges or lines, 4 normal, 5 segmentation."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        conditioning_scale: float = 1.0,
        return_dict: bool = False,
    ) -> Any:
        """As ControlNetModel's, for (B, C, h, w) `sample`: residuals of each level, and the middle block's."""
        # The union joins hint and sample and needs as many of one as of the other; ours may be shared by the batch.
        hint = self.controlnet_cond_embedding(controlnet_cond).expand(len(sample), -1, -1, -1)
        knowing = copy.copy(self)
        vars(knowing)["_modules"] = dict(vars(self)["_modules"])
        knowing.controlnet_cond_embedding = _Known(hint)
        kinds = torch.zeros(len(sample), self.config["num_control_type"], device=sample.device, dtype=sample.dtype)
        kinds[:, self.control_type] = 1
        return ControlNetUnionModel.forward(
            knowing,
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states,
            controlnet_cond=[controlnet_cond],
            control_type=kinds,
            control_type_idx=[self.control_type],
            conditioning_scale=conditioning_scale,
            added_cond_kwargs=added_cond_kwargs,
            return_dict=return_dict,
        )


class _Known(nn.Module):
    """Stands where the hint's encoder was, and gives what that made."""

    def __init__(self, hint: Tensor) -> None:
        super().__init__()
        self.hint = hint

    def forward(self, _: Tensor) -> Tensor:
        return self.hint
