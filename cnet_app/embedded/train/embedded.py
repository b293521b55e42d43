"""The embedded model from nothing, stage by stage; every stage resumes where it stopped.

pictures → autoencoder → base beside one ControlNet of all conditions, small then full size → one locked-base ControlNet a
condition → annotator network → files under models/embedded/.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from transformers import CLIPTokenizer

from annotators.scene_net import load_scene_net
from cnet_app.embedded.train.autoencoder import create_autoencoder, train_autoencoder
from cnet_app.embedded.train.batches import encode_dataset
from cnet_app.embedded.train.common import load_checkpoint
from cnet_app.embedded.train.dataset import MAPS, Dataset, load_dataset, render
from cnet_app.embedded.train.diffusion import Networks, Plan, create_networks, fresh_controlnet, train_diffusion
from cnet_app.embedded.train.export import export_annotator, export_base, export_controlnet
from cnet_app.embedded.train.scene_net import train_scene_net
from cnet_app.embedded.train.score import FidelityScore
from cnet_app.embedded.train.text import bind_colours, create_tokenizer
from models.catalog import CATALOG
from models.loader import load_base, load_controlnet

SMALL, FULL = 128, 256
"""Sides in px: the base first sees small pictures, four times as many in the same time."""
FIRST_SEED = {SMALL: 2_000_000, FULL: 1_000_000}
CONDITIONS = tuple(
    row.id.removeprefix("embedded_") for row in CATALOG if row.kind == "controlnet" and row.family == "embedded"
)


PICTURES = {SMALL: 12_032, FULL: 8_192}
AUTOENCODER_STEPS, DECODER_STEPS, SCENE_NET_STEPS = 3_600, 1_000, 1_000
SMALL_PLAN = Plan(
    steps=1_000,
    batch_size=24,
    peak_rate=2e-3,
    empty_captions=0.25,
    no_control=0.15,
    locked=False,
    decay=0.998,
    score_every=300,
)
FULL_PLAN = replace(SMALL_PLAN, steps=4_000, decay=0.997)
CONTROL_PLAN = Plan(steps=100, batch_size=16, peak_rate=8e-4, decay=0.97, score_every=50)
CONTROL_STEPS = {
    "picture": 400,
    "lineart": 250,
    "softedge": 150,
    "segmentation": 150,
    "openpose": 300,
    "depth": 400,
    "scribble": 400,
}
"""Of the conditions that need more than the plan's."""
FROM_ZERO_PLAN = replace(CONTROL_PLAN, condition="canny", steps=300)


class Workshop:
    """A directory with rendered pictures, latents, checkpoints and logs, and the stages that fill it.

    `start` is a folder of shipped files to go on from, instead of from nothing.
    """

    def __init__(self, directory: Path, start: Path | None = None, minutes: float | None = None) -> None:
        self.directory = directory
        self.start = start
        self.minutes = minutes

    @property
    def deadline(self) -> float | None:
        """Of a training that starts now."""
        return None if self.minutes is None else time.time() + 60 * self.minutes

    def dataset(self, size: int) -> Dataset:
        """Rendered pictures of a size."""
        return load_dataset(self.directory / f"world{size}")

    def tokenizer(self) -> CLIPTokenizer:
        """Of all captions, or the shipped one."""
        if self.start:
            return CLIPTokenizer.from_pretrained(self.start / "base" / "tokenizer")
        return create_tokenizer(self.dataset(SMALL).captions + self.dataset(FULL).captions)

    def autoencoder(self) -> AutoencoderTiny:
        """The averaged weights; those of the longer trained decoder where there are some."""
        vae = create_autoencoder()
        for name in ("decoder.pt", "autoencoder.pt"):
            if state := load_checkpoint(self.directory / name):
                vae.load_state_dict(state["averaged"])
                return vae.eval()
        if self.start is None:
            raise FileNotFoundError(f"{self.directory} has no autoencoder yet; run that stage first.")
        vae.load_state_dict(load_base(str(self.start / "base")).vae.state_dict())
        return vae.eval()

    def networks(self, *names: str) -> Networks:
        """The averaged weights of the first checkpoint there is; then the shipped ones, or fresh ones."""
        for path in (self.directory / name for name in names):
            if state := load_checkpoint(path):
                networks = Networks(self.tokenizer())
                networks.load_state_dict(state["averaged"])
                return networks
        networks = create_networks(self.tokenizer())
        if self.start:
            base = load_base(str(self.start / "base"))
            networks.unet.load_state_dict(base.unet.state_dict())
            networks.text_encoder.load_state_dict(base.text_encoders[0].state_dict())
            networks.controlnet.load_state_dict(mean_controlnet(self.start / "controlnet"))
        return networks

    def pictures(self) -> None:
        """Render what is missing."""
        for size, count in PICTURES.items():
            render(self.directory / f"world{size}", FIRST_SEED[size], count, size)

    def train_autoencoder(self) -> None:
        """Encoder and decoder."""
        full = self.dataset(FULL)
        train_autoencoder(
            [full, full, self.dataset(SMALL)],
            self.directory,
            steps=AUTOENCODER_STEPS,
            deadline=self.deadline,
        )

    def train_decoder(self) -> None:
        """The decoder alone: latents, and all that was trained on them, stay."""
        train_autoencoder(
            [self.dataset(FULL)],
            self.directory,
            steps=DECODER_STEPS,
            deadline=self.deadline,
            peak_rate=2e-3,
            seed=1,
            decoder_only=True,
        )

    def train_base(self) -> None:
        """Base and shared ControlNet: on small pictures, then on full ones."""
        networks = self.networks()
        bind_colours(networks.text_encoder, self.tokenizer(), self.dataset(SMALL).captions)
        self._diffusion(networks, SMALL, "small.pt", SMALL_PLAN)
        self.train_full()

    def train_full(self) -> None:
        """The last part of the base, alone."""
        self._diffusion(self.networks("small.pt"), FULL, "full.pt", FULL_PLAN)

    def train_controlnets(self) -> None:
        """One ControlNet a condition, base locked, from the shared one."""
        for condition in CONDITIONS:
            steps = CONTROL_STEPS.get(condition, CONTROL_PLAN.steps)
            plan = replace(CONTROL_PLAN, condition=condition, steps=steps)
            self._diffusion(self.networks("full.pt"), FULL, f"control_{condition}.pt", plan)

    def train_from_zero(self) -> None:
        """Canny by the paper's start, a silent copy of the encoder, under three seeds: shows sudden convergence."""
        for seed in range(3):
            networks = self.networks("full.pt")
            fresh_controlnet(networks, seed)
            self._diffusion(networks, FULL, f"zero_{seed}.pt", replace(FROM_ZERO_PLAN, seed=seed))

    def train_scene_net(self) -> None:
        """The annotators' network."""
        train_scene_net(
            self.dataset(FULL),
            self.directory,
            steps=SCENE_NET_STEPS,
            deadline=self.deadline,
            start_from=load_scene_net(self.start / "annotator") if self.start else None,
        )

    def export(self, target: Path) -> None:
        """Write what there is as fp16 files in diffusers' layout."""
        networks = self.networks("full.pt")
        export_base(target / "base", networks, self.tokenizer(), self.autoencoder())
        for condition in CONDITIONS:
            own = self.networks(f"control_{condition}.pt", "full.pt")
            export_controlnet(target / "controlnet" / condition, own.controlnet)
        if state := load_checkpoint(self.directory / "scene_net.pt"):
            export_annotator(target / "annotator", state["averaged"])

    def _diffusion(self, networks: Networks, size: int, checkpoint: str, plan: Plan) -> None:
        dataset = self.dataset(size)
        tokenizer, vae = self.tokenizer(), self.autoencoder()
        latents = encode_dataset(vae, dataset, self.directory / f"latents{size}.npy")
        plan = replace(plan, deadline=self.deadline)
        score = FidelityScore(tokenizer, vae, size) if plan.condition in (None, "canny") else None
        train_diffusion(networks, tokenizer, dataset, latents, self.directory / checkpoint, plan, score)


def mean_controlnet(folder: Path) -> dict[str, Tensor]:
    """The mean of all conditions' ControlNets: close to the shared one they started from, and for all of them."""
    states = [load_controlnet(str(folder / condition), "embedded").state_dict() for condition in MAPS]
    return {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}


STAGES: dict[str, Callable[[Workshop], None]] = {
    "pictures": Workshop.pictures,
    "autoencoder": Workshop.train_autoencoder,
    "base": Workshop.train_base,
    "full": Workshop.train_full,
    "controlnets": Workshop.train_controlnets,
    "decoder": Workshop.train_decoder,
    "annotator": Workshop.train_scene_net,
    "from-zero": Workshop.train_from_zero,
}
"""In order. `full` is a part of `base` for going on with, `from-zero` a measurement: neither is run unless named."""
SHIPPED = tuple(name for name in STAGES if name not in ("full", "from-zero"))


def train_embedded(
    work: Path,
    target: Path,
    stages: tuple[str, ...] = SHIPPED,
    start: Path | None = None,
    minutes: float | None = None,
) -> None:
    """Run stages, every training in them for at most `minutes`, and write the files."""
    for name in stages:
        STAGES[name](Workshop(work, start, minutes))
    if (work / "full.pt").exists():
        Workshop(work, start).export(target)
