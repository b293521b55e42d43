"""Grounding: a thing's words are looked at where the thing is, so that its colour lands there and nowhere else.

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

from annotators.maps import ADE20K_CLASSES, ADE20K_PALETTE
from cnet_app.embedded.train.text import thing_tokens
from cnet_app.embedded.world.words import ADE20K_CLASS, SHAPES

SIDE = 16
"""Of the masks: the finest level with attention, at 256 px."""
SHAPE_COLOURS = ADE20K_PALETTE[[ADE20K_CLASSES.index(ADE20K_CLASS[shape]) for shape in SHAPES]]


class WatchedAttention:
    """Plain attention to the words that keeps what it looked at, (B x heads, places, words), while training."""

    probabilities: Tensor | None = None

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: None = None
    ) -> Tensor:
        """(B, places, channels) looking at (B, words, width)."""
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

    def __deepcopy__(self, memo: dict[int, Any]) -> WatchedAttention:
        """A copy has looked at nothing yet; what was kept belongs to the original's gradients."""
        return WatchedAttention()


def watch(network: nn.Module) -> None:
    """Make every attention to the words keep what it looks at."""
    for module in network.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            watched: Any = WatchedAttention()
            module.set_processor(watched)


def shape_masks(segmentation: NDArray[np.uint8]) -> Tensor:
    """(B, S, S, 3) ADE20K colours → (B, SHAPES, SIDE, SIDE): how much of each place is a thing of each shape."""
    there = (segmentation[:, None] == SHAPE_COLOURS[:, None, None]).all(axis=-1)
    return F.adaptive_avg_pool2d(torch.from_numpy(there.astype(np.float32)), SIDE)


def shape_words(tokenizer: CLIPTokenizer, ids: Tensor) -> Tensor:
    """(B, words) token ids → (B, SHAPES, words): which words, the noun and its colour, name things of each shape."""
    things = thing_tokens(tokenizer, ids)
    words = torch.stack([things.nouns & (ids == shape) for shape in things.shapes], dim=1)
    return (words | words.roll(-1, dims=2)).float()


def grounding_loss(network: nn.Module, words: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of the shape that each place of a thing looks at, among the shapes of the caption.

    `words` (B, SHAPES, L) and `masks` (B, SHAPES, SIDE, SIDE) belong to the last batch that went through the network.
    Places and captions where nothing can be mistaken do not count.
    """
    mistakable = (words.amax(dim=2).sum(dim=1) > 1).float()
    named = words.amax(dim=2)[..., None]
    losses = []
    for attention in _watched(network):
        looked = attention.unflatten(0, (len(words), -1)).float().mean(dim=1)
        shares = torch.einsum("bpw,bsw->bsp", looked, words) + 1e-6
        side = round(shares.shape[2] ** 0.5)
        weight = F.adaptive_avg_pool2d(masks, side).flatten(2) * named * mistakable[:, None, None]
        surprise = -(shares / shares.sum(dim=1, keepdim=True)).log()
        losses.append((weight * surprise).sum() / weight.sum().clamp(min=1))
    return torch.stack(losses).mean()


def _watched(network: nn.Module) -> list[Tensor]:
    modules = (m for m in network.modules() if isinstance(m, Attention))
    processors = (m.processor for m in modules if isinstance(m.processor, WatchedAttention))
    return [p.probabilities for p in processors if p.probabilities is not None]
