"""The labels of all fields, and messages in which a field is named by its label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "base": "Base model",
        "block_weights": "Block weights",
        "buckets": "Keep aspects",
        "checkpoint_every": "Steps between checkpoints",
        "conditioning_scale": "Control strength",
        "control_guidance_end": "Control ends",
        "control_guidance_start": "Control begins",
        "control_image": "Map",
        "control_mode": "Control mode",
        "control_form": "Control form",
        "controlnet": "ControlNet",
        "depth_curve": "Strength over depth",
        "ema_decay": "EMA decay",
        "empty_prompts": "Empty prompts",
        "eta": "Eta",
        "gradient_accumulation": "Passes a step",
        "guess_mode": "Guess mode",
        "guidance_scale": "Guidance",
        "initial": "First weights",
        "initial_image": "Start picture",
        "inpaint_mask": "Mask image",
        "ip_adapter": "Reference image (IP-Adapter)",
        "ip_scale": "Reference weight",
        "joint": "Joining layers",
        "keep_checkpoints": "Checkpoints kept",
        "lr_scheduler": "Learning rate schedule",
        "lr_warmup_steps": "Warm-up steps",
        "mask": "Mask",
        "mask_feather": "Mask feather",
        "max_grad_norm": "Longest gradient",
        "min_snr_gamma": "Min-SNR gamma",
        "negative_prompt": "Negative prompt",
        "norm_preserving": "Limit combined strength",
        "num_images": "Pictures",
        "num_inference_steps": "Steps",
        "only_mid_control": "Middle block only",
        "patience": "Looks without gain",
        "probe_every": "Steps between looks",
        "probe_steps": "Denoising steps",
        "prompt": "Prompt",
        "residual_interval": "Reuse ControlNet output for",
        "resize": "Resize",
        "reuse_threshold": "Reuse steps that change by less than",
        "scheduler": "Sampler",
        "strength": "Denoising strength",
        "strength_curve": "Strength schedule",
        "unconditional_block_weights": "Block weights, unconditional",
        "unlock_after": "Unlock decoder at step",
        "unlocked_learning_rate": "Decoder learning rate",
        "vae": "Autoencoder (VAE)",
        "weight_map": "Weights",
        "while_pictures": "While a picture is made",
    }
)
"""By field name, where the label is not the name with spaces."""


def label_of(name: str) -> str:
    """Return the label of a field."""
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def in_form_words(message: str) -> str:
    """Return the message of an error with every field under its label: “Control mode” for control_mode.

    Fields of LABELS with an underscore are replaced anywhere. Every other name, such as seed, width or a parameter of an
    annotator, is replaced only at the beginning, before its value.
    """
    named = re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda found: _quoted(found[0]), message)
    return re.sub(r"^[a-z]+(?:_[a-z]+)*(?= (?:is|has \d|holds) )", lambda found: f"“{label_of(found[0])}”", named)


def _quoted(name: str) -> str:
    """Other ids with underscores, such as those of annotators, are no fields and stay."""
    return f"“{LABELS[name]}”" if name in LABELS else name
