"""Words to what the U-Net reads: CLIP encoding with one text encoder (SD 1.5, 2.1, embedded) or two (SDXL)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.requests import GenerationRequest

if TYPE_CHECKING:
    from models.loader import Base


@dataclass(frozen=True)
class Text:
    """Encoded prompts: B is 2, the negative one first, where guidance is on, else 1."""

    states: Tensor
    """(B, tokens, channels)."""
    added: dict[str, Tensor] | None = None
    """SDXL's further conditions: `text_embeds` (B, channels) and `time_ids` (B, 6)."""

    def conditional(self) -> Text:
        """The prompt alone, without the negative one."""
        added = {name: tensor[-1:] for name, tensor in self.added.items()} if self.added else None
        return Text(self.states[-1:], added)


def guided(request: GenerationRequest) -> bool:
    """Guidance at 1 changes nothing, so only beyond 1 is the unconditional side worked out."""
    return request.guidance_scale > 1


def encode_prompts(base: Base, request: GenerationRequest) -> Text:
    """The request's prompts as `Text`. Words beyond the encoder's length are left out: see `prompt_notes`."""
    prompt, pooled = _encode(base, request.prompt)
    states, pools = [prompt], [pooled]
    if guided(request):
        negative, negative_pooled = _encode(base, request.negative_prompt)
        if len(base.text_encoders) > 1 and not request.negative_prompt:
            # SDXL was trained to take an absent prompt as zeros, not as the encoding of the empty text.
            negative, negative_pooled = torch.zeros_like(prompt), torch.zeros_like(pooled)
        states, pools = [negative, prompt], [negative_pooled, pooled]
    if len(base.text_encoders) == 1:
        return Text(torch.cat(states))
    # Original size, crop corner and target size, as SDXL was told in training.
    sizes = [[request.height, request.width, 0, 0, request.height, request.width]] * len(states)
    time_ids = torch.tensor(sizes, device=base.device, dtype=base.dtype)
    return Text(torch.cat(states), {"text_embeds": torch.cat(pools), "time_ids": time_ids})


def prompt_notes(base: Base, request: GenerationRequest) -> tuple[str, ...]:
    """A sentence for each part of the prompts that will not be read."""
    notes = [_cut_note(base, "prompt", request.prompt)]
    if guided(request):
        notes.append(_cut_note(base, "negative_prompt", request.negative_prompt))
    elif request.negative_prompt:
        notes.append("negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it.")
    return tuple(note for note in notes if note)


def _encode(base: Base, text: str) -> tuple[Tensor, Tensor]:
    """(1, tokens, channels) states and (1, channels) pooled encoding of the last encoder."""
    states: list[Tensor] = []
    pooled = torch.empty(0)
    for tokenizer, encoder in zip(base.tokenizers, base.text_encoders, strict=True):
        length = _length(tokenizer, encoder)
        tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        output = encoder(tokens.input_ids.to(encoder.device), output_hidden_states=True)
        # With two encoders, SDXL reads the last layer but one of each.
        states.append(output.hidden_states[-2] if len(base.text_encoders) > 1 else output[0])
        pooled = output[0]
    return torch.cat(states, dim=-1).to(base.device, base.dtype), pooled.to(base.device, base.dtype)


def _cut_note(base: Base, name: str, text: str) -> str:
    tokenizer, encoder = base.tokenizers[0], base.text_encoders[0]
    tokens = tokenizer(text, verbose=False).input_ids
    length = _length(tokenizer, encoder)
    if len(tokens) <= length:
        return ""
    left_out = tokenizer.decode(tokens[length - 1 : -1]).strip()
    shown = left_out if len(left_out) <= 60 else left_out[:60].rstrip() + " …"
    return f"{name} is {len(tokens) - 2} tokens long, but the model reads {length - 2}; left out: “{shown}”."


def _length(tokenizer: Any, encoder: Any) -> int:
    """Tokens an encoder reads, begin and end included: 77 for CLIP."""
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
