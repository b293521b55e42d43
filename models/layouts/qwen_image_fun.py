"""The network of the union ControlNets that VideoX-Fun's authors made for Qwen-Image, which diffusers does not have.

Its blocks are those of the base. The first reads the embedded map and what the base's first layer makes of noisy latents; each
next one reads the tokens of the one before. The names of its tensors are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformerBlock
from torch import Tensor, nn


class QwenImageFunTransformerBlock(QwenImageTransformerBlock):
    """A block of the base, with a projection of what it returns and, in the first block, one of what it reads."""

    def __init__(self, heads: int, head_width: int, first: bool) -> None:
        width = heads * head_width
        super().__init__(width, heads, head_width)
        if first:
            self.before_proj = nn.Linear(width, width)
        self.after_proj = nn.Linear(width, width)


class QwenImageFunControl(ModelMixin, ConfigMixin):
    """A ControlNet with a residual for some of the base's blocks."""

    @register_to_config
    def __init__(
        self,
        control_layers: Sequence[int] = (0, 12, 24, 36, 48),
        control_in_dim: int = 132,
        num_attention_heads: int = 24,
        attention_head_dim: int = 128,
    ) -> None:
        """`control_layers` are the base's blocks behind which residuals enter; `control_in_dim` numbers make a token."""
        super().__init__()
        self.control_img_in = nn.Linear(control_in_dim, num_attention_heads * attention_head_dim)
        self.control_blocks = nn.ModuleList(
            QwenImageFunTransformerBlock(num_attention_heads, attention_head_dim, first=number == 0)
            for number in range(len(control_layers))
        )

    def forward(self, hint: Tensor, states: Tensor, words: Tensor, time: Tensor, places: Any) -> list[Tensor]:
        """Return the residuals, (B, tokens, C) each.

        `hint` is (B, tokens, control_in_dim). The others are what the base makes of its inputs before its first block:
        tokens of the picture and of the text, the embedded time, and the rotary embeddings of both.
        """
        found: list[Tensor] = []
        control = self.control_img_in(hint)
        for number, block in enumerate(self.control_blocks):
            layer: Any = block
            if number == 0:
                control = layer.before_proj(control) + states
            words, control = layer(
                hidden_states=control,
                encoder_hidden_states=words,
                encoder_hidden_states_mask=None,
                temb=time,
                image_rotary_emb=places,
            )
            found.append(layer.after_proj(control))
        return found
