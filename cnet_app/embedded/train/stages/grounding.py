"""Grounding: the attention to a thing's words is trained to lie where the thing is, so that its colour appears only there.

After TokenCompose (Wang et al. 2024): the exact masks of the scenes supervise the attention to the words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from cnet_app.embedded.train.text import thing_tokens
from cnet_app.embedded.world.words import ADE20K_CLASS, SHAPES

SIDE = 16
"""Side of the masks: the finest level with attention, at 256 px."""
SHAPE_COLOURS = ADE20K_PALETTE[[ADE20K_CLASSES.index(ADE20K_CLASS[shape]) for shape in SHAPES]]


class RecordedAttention:
    """Plain attention to the words that records its probabilities, (B x heads, places, words), while training."""

    probabilities: Tensor | None = None

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: None = None
    ) -> Tensor:
        """Return the attention of (B, places, channels) to (B, words, width)."""
        query, key, value = (
            attn.head_to_batch_dim(layer(states))
            for layer, states in (
                (attn.to_q, hidden_states),
                (attn.to_k, encoder_hidden_states),
                (attn.to_v, encoder_hidden_states),
            )
        )
        probabilities = attn.get_attention_scores(query, key, attention_mask)
        self.probabilities = probabilities if attn.training else None
        return attn.to_out[0](attn.batch_to_head_dim(torch.bmm(probabilities, value)))

    def __deepcopy__(self, memo: dict[int, Any]) -> RecordedAttention:
        """Return a copy without a record: a record belongs to the original's gradients."""
        return RecordedAttention()


def record_attention(network: nn.Module) -> None:
    """Let every attention to the words record its probabilities."""
    for module in network.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            processor: Any = RecordedAttention()
            module.set_processor(processor)


def shape_masks(segmentation: NDArray[np.uint8]) -> Tensor:
    """Return (B, SHAPES, SIDE, SIDE), the share of each place that has a thing of each shape, of (B, S, S, 3) ADE20K colours."""
    there = (segmentation[:, None] == SHAPE_COLOURS[:, None, None]).all(axis=-1)
    return F.adaptive_avg_pool2d(torch.from_numpy(there.astype(np.float32)), SIDE)


def shape_words(tokenizer: CLIPTokenizer, ids: Tensor) -> Tensor:
    """Return (B, SHAPES, words), 1 where a word (the noun or its colour) names a thing of a shape, of (B, words) token ids."""
    things = thing_tokens(tokenizer, ids)
    words = torch.stack([things.nouns & (ids == shape) for shape in things.shapes], dim=1)
    return (words | words.roll(-1, dims=2)).float()


def grounding_loss(network: nn.Module, words: Tensor, masks: Tensor) -> Tensor:
    """Return the cross-entropy of the attention of each place of a thing, over the shapes of the caption.

    `words` (B, SHAPES, L) and `masks` (B, SHAPES, SIDE, SIDE) belong to the last batch that the network processed.
    Places without things, and captions of fewer than two shapes, do not count.
    """
    ambiguous = (words.amax(dim=2).sum(dim=1) > 1).float()
    named = words.amax(dim=2)[..., None]
    losses = []
    for attention in _recorded(network):
        attended = attention.unflatten(0, (len(words), -1)).float().mean(dim=1)
        shares = torch.einsum("bpw,bsw->bsp", attended, words) + 1e-6
        side = round(shares.shape[2] ** 0.5)
        weight = F.adaptive_avg_pool2d(masks, side).flatten(2) * named * ambiguous[:, None, None]
        penalty = -(shares / shares.sum(dim=1, keepdim=True)).log()
        losses.append((weight * penalty).sum() / weight.sum().clamp(min=1))
    return torch.stack(losses).mean()


def _recorded(network: nn.Module) -> list[Tensor]:
    modules = (m for m in network.modules() if isinstance(m, Attention))
    processors = (m.processor for m in modules if isinstance(m.processor, RecordedAttention))
    return [p.probabilities for p in processors if p.probabilities is not None]
