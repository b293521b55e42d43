"""The plan of a training: which ControlNet, on which data, for how long. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, cast, get_args

from annotators.base import Parameter, shown
from cnet_app.registry.conditions import condition
from cnet_app.request.limits import MAX_NAME, check_numbers, check_switches, check_text
from cnet_app.request.plain import Versioned, from_plain, to_plain
from models.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,62}[\w-]|[A-Za-z0-9]", re.ASCII)
"""Names that every file system takes as a folder."""
Network = Literal["controlnet", "light", "lite"]
"""A trainable copy of encoder and middle block; a control-LoRA of it; the paper's ControlNet-lite, convolutions alone."""
Initial = Literal["copy", "fresh"]
"""Weights of the encoder at the first step: the base's, or random ones."""
Joint = Literal["zero", "gaussian"]
"""Weights of the convolutions that join the network to the base at the first step."""
WhilePictures = Literal["wait", "free_memory", "go_on"]
"""While a picture is made: keep the memory and wait, move to the CPU and wait, or go on."""
Precision = Literal["float32", "bfloat16", "float16"]

TRAINING_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "steps": Parameter(default=4000, minimum=1, maximum=10_000_000, help="Updates of the weights."),
        "batch_size": Parameter(default=4, minimum=1, maximum=4096, help="Pairs in one pass, on each device."),
        "gradient_accumulation": Parameter(default=1, minimum=1, maximum=4096, help="Passes for one update."),
        "learning_rate": Parameter(default=1e-5, minimum=1e-9, maximum=1.0, help="Of the ControlNet, at its highest."),
        "size": Parameter(default=512, minimum=64, maximum=2048, step=8, unit="px", help="Side of the square whose area the pictures are brought to."),
        "empty_prompts": Parameter(default=0.5, minimum=0.0, maximum=1.0, step=0.05, help="Share of prompts that are emptied, so that the map alone must be understood; the paper has half."),
        "seed": Parameter(default=0, minimum=0, maximum=2**32 - 1, help="The same seed, plan and data make the same run."),
        "network": Parameter(default="controlnet", choices=get_args(Network), help="A full ControlNet, a light one (control-LoRA, a few MB), or the paper's ControlNet-lite."),
        "rank": Parameter(default=8, minimum=1, maximum=320, help="Rank of a light network."),
        "initial": Parameter(default="copy", choices=get_args(Initial), help="Begin with the base's encoder, or with random weights."),
        "joint": Parameter(default="zero", choices=get_args(Joint), help="Join to the base by zero convolutions, or by random ones."),
        "unlock_after": Parameter(default=0, minimum=0, maximum=10_000_000, help="Step from which the base's decoder is trained too; 0 keeps it locked."),
        "unlocked_learning_rate": Parameter(default=2e-6, minimum=1e-9, maximum=1.0, help="Of the base's decoder, where it is trained."),
        "lr_scheduler": Parameter(default="constant", choices=("constant", "constant_with_warmup", "linear", "cosine"), help="Course of the learning rate over the steps."),
        "lr_warmup_steps": Parameter(default=0, minimum=0, maximum=1_000_000, help="Steps over which the learning rate rises."),
        "optimizer": Parameter(default="adamw", choices=("adamw", "adamw_8bit"), help="AdamW, or its 8-bit form, which needs bitsandbytes."),
        "weight_decay": Parameter(default=0.01, minimum=0.0, maximum=1.0, help="Of AdamW."),
        "max_grad_norm": Parameter(default=1.0, minimum=0.0, maximum=1000.0, help="Longer gradients are shortened to it; 0 leaves them."),
        "min_snr_gamma": Parameter(default=0.0, minimum=0.0, maximum=100.0, help="Weigh steps by their signal, as Min-SNR does with this gamma; 0 weighs all alike."),
        "ema_decay": Parameter(default=0.0, minimum=0.0, maximum=0.99999, help="Of averaged weights, which are then exported; 0 averages none."),
        "precision": Parameter(default="float32", choices=get_args(Precision), help="Number format of the passes; weights are updated in float32."),
        "checkpoint_every": Parameter(default=500, minimum=1, maximum=1_000_000, help="Steps between two checkpoints."),
        "keep_checkpoints": Parameter(default=2, minimum=1, maximum=1000, help="Checkpoints that are kept, besides the best."),
        "probe_every": Parameter(default=100, minimum=0, maximum=1_000_000, help="Steps between two looks at the probes; 0 never looks."),
        "probes": Parameter(default=4, minimum=1, maximum=64, help="Held-out maps that pictures are made from and scored."),
        "probe_steps": Parameter(default=20, minimum=1, maximum=150, help="Denoising steps of a probe's picture."),
        "patience": Parameter(default=0, minimum=0, maximum=10_000, help="Looks at the probes without a better score after which the training stops; 0 never stops early."),
        "while_pictures": Parameter(default="wait", choices=get_args(WhilePictures), help="While a picture is made: wait, also free the memory, or go on."),
    }
)  # fmt: skip
CHANGEABLE = (
    "steps", "learning_rate", "unlocked_learning_rate", "lr_scheduler", "lr_warmup_steps", "max_grad_norm", "batch_size",
    "gradient_accumulation", "gradient_checkpointing", "precision", "ema_decay", "patience", "checkpoint_every",
    "keep_checkpoints", "probe_every", "probe_steps", "while_pictures", "data", "validation",
)  # fmt: skip
"""Settings that a resumed run may change: its checkpoints fit all the same. Folders of data may only have moved."""
SWITCHES = ("only_mid_control", "gradient_checkpointing", "flip", "crop", "buckets")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(Versioned):
    """All settings of a run. Two runs with equal plans on equal data are equal bit for bit on one device."""

    kind: ClassVar[str] = "training"
    name: str
    """Of the run's folder, and of the ControlNet that it makes."""
    condition: str
    """Id of a row in cnet_app.registry.conditions."""
    data: str
    """Folder of pairs."""
    base: str = "embedded"
    """Catalogue id, hub id, name of a dropped file, or path."""
    vae: str | None = None
    validation: str | None = None
    """Folder of pairs for the probes; None takes them from `data`, which then does not train on them."""
    start: str | None = None
    """ControlNet to go on from; None begins as `initial` says."""
    caption: str = ""
    """Prompt of pairs without one."""
    network: Network = "controlnet"
    rank: int = 8
    initial: Initial = "copy"
    joint: Joint = "zero"
    only_mid_control: bool = False
    unlock_after: int = 0
    unlocked_learning_rate: float = 2e-6
    steps: int = 4000
    batch_size: int = 4
    gradient_accumulation: int = 1
    learning_rate: float = 1e-5
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    min_snr_gamma: float = 0.0
    empty_prompts: float = 0.5
    ema_decay: float = 0.0
    size: int = 512
    buckets: bool = True
    """Keep each picture's aspect, at an area of size × size; else all are square."""
    crop: bool = False
    """Crop at random instead of at the centre."""
    flip: bool = False
    """Mirror half of the pairs."""
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    probe_every: int = 100
    probes: int = 4
    probe_steps: int = 20
    patience: int = 0
    while_pictures: WhilePictures = "wait"

    @property
    def exported_base(self) -> str:
        """Name of the base that the ControlNet belongs to: one of its own where the decoder is trained too."""
        return f"{self.name}-base" if self.unlock_after else self.base

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(
                f"name is {shown(self.name)}, but it must be 1 to 64 letters, digits, -, _ and dots, a letter or digit first."
            )
        condition(self.condition)
        for name, empty in (("data", False), ("base", False), ("caption", True)):
            check_text(self, name, MAX_NAME, empty=empty)
        for name in ("vae", "validation", "start"):
            check_text(self, name, MAX_NAME, optional=True)
        check_numbers(self, TRAINING_LIMITS)
        check_switches(self, SWITCHES)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse settings that exclude each other."""
        if self.network == "lite" and self.only_mid_control:
            raise InputError(
                "only_mid_control is on, but a lite network has no middle block; switch it off, or choose controlnet."
            )
        if self.network != "controlnet" and self.start is not None:
            raise InputError(
                f"start is {self.start!r}, but a {self.network} network begins from the base; leave start out."
            )
        if self.network != "controlnet" and self.initial == "fresh":
            raise InputError(
                f"initial is fresh, but a {self.network} network holds no encoder of its own; choose copy, or controlnet "
                "as network."
            )
        if self.network == "light" and self.joint == "gaussian":
            raise InputError(
                "joint is gaussian, but a light network is stored as factors without its first joints; choose zero, or "
                "controlnet as network."
            )
        for name, value, plain in (("initial", self.initial, "copy"), ("joint", self.joint, "zero")):
            if self.start is not None and value != plain:
                raise InputError(
                    f"{name} is {value}, but start names a ControlNet to go on from, which has its own weights; leave "
                    f"start out, or choose {plain}."
                )
        if self.patience and not self.probe_every:
            raise InputError("patience needs the probes, but probe_every is 0; set probe_every, or patience to 0.")
        if self.lr_warmup_steps >= self.steps:
            raise InputError(f"lr_warmup_steps is {self.lr_warmup_steps}, but it must be below the {self.steps} steps.")


def plan_to_json(plan: TrainingPlan) -> dict[str, Any]:
    """Return the plan as JSON values."""
    return cast("dict[str, Any]", to_plain(plan))


def changed(plan: TrainingPlan, changes: Mapping[str, Any]) -> TrainingPlan:
    """Return the plan with changes that a resumed run may make. Raises InputError for any other, and for wrong values."""
    if fixed := [name for name in changes if name not in CHANGEABLE]:
        raise InputError(
            f"{fixed[0]} cannot change while a run is resumed; change one of: {', '.join(CHANGEABLE)}, or begin a new training."
        )
    return plan_from_json(plan_to_json(plan) | dict(changes))


def plan_from_json(values: object) -> TrainingPlan:
    """Return the plan of JSON values; absent fields take their defaults, InputError for an unknown one."""
    if isinstance(values, dict):
        values = {
            name: value for name, value in cast("dict[str, object]", values).items() if name not in ("kind", "schema")
        }
    return from_plain(TrainingPlan, values, "training plan", {})


def plan_from_text(text: str) -> TrainingPlan:
    """Return the plan of a JSON text; InputError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The training plan is not JSON ({error}); give the text of a plan.json.") from error
    return plan_from_json(values)
