"""Guidance: whether it changes anything, and how the two sides of a batch become one prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import PreparedControl, Text
from cnet_app.request.generation import GenerationRequest
from models.family_facts import FamilyFacts


def is_guided(facts: FamilyFacts, request: GenerationRequest, controls: Sequence[PreparedControl]) -> bool:
    """Return whether guidance changes anything: beyond 1, and where its sides differ, by prompts, control or image prompt.

    They always differ in a family that takes an absent negative prompt as zeros. A family whose guidance is an input of the
    network, or that has none, reads the prompt alone.
    """
    if not facts.has("guidance_sides"):
        return False
    same_prompts = request.prompt == request.negative_prompt and not facts.zero_negative
    same_words = same_prompts and not request.ip_adapter
    same_control = all(
        control.steering.conditional == control.steering.unconditional
        and control.steering.prompt in (None, request.negative_prompt)
        for control in controls
    )
    return request.guidance_scale > 1 and not (same_words and same_control)


def apply_guidance(prediction: Tensor, text: Text, guidance_scale: float) -> Tensor:
    """(B, …) of both sides, or of the prompt's alone, to (1, …)."""
    if len(prediction) == 1:
        return prediction
    unconditional, pulls = prediction[:1], prediction[1:] - prediction[:1]
    if text.weights != (1.0,):
        pulls = torch.einsum("b...,b->...", pulls, pulls.new_tensor(text.weights))[None]
    return unconditional + guidance_scale * pulls


def apply_guidance_to_tokens(prediction: Tensor, text: Text, guidance_scale: float) -> Tensor:
    """(B, tokens, C) to (1, tokens, C), where each token has the norm that it has without guidance."""
    guided = apply_guidance(prediction, text, guidance_scale)
    if len(prediction) == 1:
        return guided
    plain = prediction[1:] if text.weights == (1.0,) else apply_guidance(prediction, text, 1.0)
    norm, wanted = (tokens.norm(dim=-1, keepdim=True) for tokens in (guided, plain))
    return guided * (wanted / norm.clamp(min=torch.finfo(norm.dtype).tiny))
