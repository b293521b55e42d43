"""One input of a union ControlNet, used like any other ControlNet."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ControlNetUnionModel
from torch import Tensor


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
    ) -> tuple[list[Tensor], Tensor]:
        """As ControlNetModel's, for (B, C, h, w) `sample`: residuals of each level, and the middle block's."""
        # One by one: the union's fusion of hint and sample wants as many hints as samples, and a shared one is known once.
        rows = [
            self._forward_row(
                sample[i : i + 1],
                timestep,
                encoder_hidden_states[i : i + 1],
                controlnet_cond[i : i + 1],
                {name: value[i : i + 1] for name, value in (added_cond_kwargs or {}).items()},
                conditioning_scale,
            )
            for i in range(len(sample))
        ]
        down = [torch.cat(level) for level in zip(*(row[0] for row in rows), strict=True)]
        return down, torch.cat([row[1] for row in rows])

    def _forward_row(
        self, sample: Tensor, timestep: Tensor, text: Tensor, hint: Tensor, added: dict[str, Tensor], scale: float
    ) -> Any:
        kinds = torch.zeros(1, self.config["num_control_type"], device=sample.device, dtype=sample.dtype)
        kinds[0, self.control_type] = 1
        return super().forward(
            sample,
            timestep,
            encoder_hidden_states=text,
            controlnet_cond=[hint],
            control_type=kinds,
            control_type_idx=[self.control_type],
            conditioning_scale=scale,
            added_cond_kwargs=added,
            return_dict=False,
        )
