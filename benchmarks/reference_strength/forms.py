"""The forms of strength: each predicts at a strength from 0 to 1, and at 1 exactly as the network was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux2 import (
    Flux2Attention,
    Flux2ParallelSelfAttention,
    Flux2Transformer2DModel,
)
from torch import Tensor, nn

from benchmarks.reference_strength.network import TOKENS, velocity


@dataclass(frozen=True)
class Moment:
    """The inputs of one step of sampling."""

    network: Flux2Transformer2DModel
    noisy: Tensor
    noise_level: Tensor
    words: Tensor
    reference: Tensor | None
    done: float
    """Share of the steps that are made, from 0 to below 1."""

    def predict(self, attention: dict[str, Any] | None = None) -> Tensor:
        """Return the velocity; see `velocity`."""
        return velocity(self.network, self.noisy, self.noise_level, self.words, self.reference, attention)

    def without(self) -> Moment:
        """Return the moment of the plain base: no reference."""
        return replace(self, reference=None)

    @property
    def length(self) -> int:
        """Tokens in the whole sequence: text, picture, reference."""
        return self.words.shape[1] + 2 * TOKENS


@dataclass(frozen=True)
class Form:
    """One meaning of strength."""

    id: str
    title: str
    predict: Callable[[Moment, float], Tensor]
    """Takes a moment with a reference, and the strength."""
    plain_at_zero: bool
    """Strength 0 is the plain base, by construction."""
    needs: str
    """In a step, more than the network as trained."""
    goes_beyond: bool = False
    """A strength above 1 is defined."""


def with_bias(moment: Moment, strength: float) -> Tensor:
    """Add log(s) to the attention logits from text and picture to the reference, in every block.

    OminiControl's code adds it from the reference to the others too (arXiv 2411.15098), which leaves strength 0 the same.
    """
    return moment.predict({"attention_mask": reader_bias(moment.length, strength)})


def with_cubed_bias(moment: Moment, strength: float) -> Tensor:
    """Add 3 log(s): the same bias, with a dial that is slower at its lower end."""
    return with_bias(moment, strength**3)


def reader_bias(length: int, strength: float) -> Tensor:
    """Return (L, L), added to the attention logits: log(strength) from text and picture to the reference, else 0.

    Double and single blocks attend over the same sequence, text, picture, reference, so that one matrix serves both
    kinds; at strength 0 it is minus infinity, and nobody but the reference itself reads the reference.
    """
    bias = torch.zeros(length, length)
    bias[:-TOKENS, -TOKENS:] = torch.tensor(strength).log()
    return bias


def with_picture_bias(moment: Moment, strength: float) -> Tensor:
    """Add log(s) between picture and reference, both ways; text still reads the reference."""
    bias = torch.zeros(moment.length, moment.length)
    picture, reference = slice(-2 * TOKENS, -TOKENS), slice(-TOKENS, None)
    bias[picture, reference] = bias[reference, picture] = torch.tensor(strength).log()
    return moment.predict({"attention_mask": bias})


def with_scaled_values(moment: Moment, strength: float) -> Tensor:
    """Scale the reference's values in every attention; its keys stay, so that s = 0 still takes attention away."""
    with ExitStack() as hooks:
        for attention in attentions(moment.network):
            single = isinstance(attention, Flux2ParallelSelfAttention)
            layer = attention.to_qkv_mlp_proj if single else attention.to_v
            width = attention.inner_dim
            columns = slice(2 * width, 3 * width) if single else slice(None)  # query, key, value, feed-forward

            def scale(_: nn.Module, __: Any, made: Tensor, columns: slice = columns) -> Tensor:
                made = made.clone()
                made[:, -TOKENS:, columns] *= strength
                return made

            hooks.callback(layer.register_forward_hook(scale).remove)
        return moment.predict()


def with_blended_attention(moment: Moment, strength: float) -> Tensor:
    """Mix the outputs of every attention: s of that with the reference, the rest of that without."""
    with blended(moment.network, reader_bias(moment.length, 0), strength):
        return moment.predict()


@dataclass(frozen=True)
class Blended:
    """A processor for both kinds of FLUX.2 attention that runs another one twice. All after the softmax is linear."""

    inner: Callable[..., Any]
    hidden: Tensor
    """The bias that hides the reference."""
    strength: float

    def __call__(self, attention: nn.Module, *inputs: Tensor | None) -> Any:
        """Take (picture, text, mask, rotary) of a double block, or (sequence, mask, rotary) of a single one."""
        *streams, _, rotary = inputs
        seen = self.inner(attention, *streams, None, rotary)
        unseen = self.inner(attention, *streams, self.hidden, rotary)
        if isinstance(seen, tuple):
            return tuple(torch.lerp(less, more, self.strength) for less, more in zip(unseen, seen, strict=True))
        return torch.lerp(unseen, seen, self.strength)


@contextmanager
def blended(network: Flux2Transformer2DModel, hidden: Tensor, strength: float) -> Iterator[None]:
    """Set the processors of a network, and take them back."""
    kept = [(attention, attention.processor) for attention in attentions(network)]
    try:
        for attention, inner in kept:
            attention.set_processor(Blended(inner, hidden, strength))
        yield
    finally:
        for attention, inner in kept:
            attention.set_processor(inner)


def attentions(network: Flux2Transformer2DModel) -> list[Any]:
    """Return the attentions of all double and single blocks."""
    kinds = (Flux2Attention, Flux2ParallelSelfAttention)
    return [module for module in network.modules() if isinstance(module, kinds)]


def with_black(moment: Moment, strength: float) -> Tensor:
    """Give s times the map, the rest a black one, which has no lines."""
    return _with_mixed(moment, strength, torch.tensor(-1.0))


def with_noise(moment: Moment, strength: float) -> Tensor:
    """Give s times the map, the rest noise, the same at every step."""
    shape = moment.noisy.shape
    return _with_mixed(moment, strength, torch.randn(shape, generator=torch.Generator().manual_seed(1)))


def _with_mixed(moment: Moment, strength: float, other: Tensor) -> Tensor:
    assert moment.reference is not None
    return replace(moment, reference=strength * moment.reference + (1 - strength) * other).predict()


def with_mixed_predictions(moment: Moment, strength: float) -> Tensor:
    """Go by s from the prediction without the reference to that with it, as guidance does."""
    return torch.lerp(moment.without().predict(), moment.predict(), strength)


def in_first_steps(moment: Moment, strength: float) -> Tensor:
    """Leave the reference out after the first s of the steps."""
    return (moment if moment.done < strength else moment.without()).predict()


def without_reference(moment: Moment, _: float) -> Tensor:
    """Predict as the plain base does, at every strength."""
    return moment.without().predict()


BASE = Form("base", "plain base", without_reference, True, "less")
"""The plain base, with which all forms are compared."""
FORMS = (
    Form("bias", "attention bias log(s)", with_bias, True, "a mask", goes_beyond=True),
    Form("cubed_bias", "attention bias 3 log(s)", with_cubed_bias, True, "a mask", goes_beyond=True),
    Form("picture_bias", "attention bias log(s), text left free", with_picture_bias, False, "a mask", goes_beyond=True),
    Form("values", "values of the reference times s", with_scaled_values, False, "nothing more", goes_beyond=True),
    Form("blend", "attention outputs mixed", with_blended_attention, True, "attention twice", goes_beyond=True),
    Form("black", "map mixed with black", with_black, False, "nothing more"),
    Form("noise", "map mixed with noise", with_noise, False, "nothing more"),
    Form("predictions", "predictions mixed", with_mixed_predictions, True, "two passes", goes_beyond=True),
    Form("steps", "reference in the first s of the steps", in_first_steps, True, "no reference after s"),
)
