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
from transformers import CLIPTokenizer

from cnet_app.training.autoencoder import create_autoencoder, train_autoencoder
from cnet_app.training.batches import encode_dataset
from cnet_app.training.common import load_checkpoint
from cnet_app.training.dataset import Dataset, load_dataset, render
from cnet_app.training.diffusion import Networks, Plan, create_networks, fresh_controlnet, train_diffusion
from cnet_app.training.export import export_annotator, export_base, export_controlnet
from cnet_app.training.scene_net import train_scene_net
from cnet_app.training.text import create_tokenizer
from models.catalog import CATALOG

SMALL, FULL = 128, 256
"""Sides in px: the base first sees small pictures, four times as many in the same time."""
FIRST_SEED = {SMALL: 2_000_000, FULL: 1_000_000}
CONDITIONS = tuple(
    row.id.removeprefix("embedded_") for row in CATALOG if row.kind == "controlnet" and row.family == "embedded"
)


PICTURES = {SMALL: 12_032, FULL: 5_120}
AUTOENCODER_STEPS, DECODER_STEPS, SCENE_NET_STEPS = 1_500, 600, 2_000
SMALL_PLAN = Plan(
    steps=6_000, batch_size=32, peak_rate=8e-4, empty_captions=0.25, no_control=0.15, locked=False, decay=0.998
)
FULL_PLAN = replace(SMALL_PLAN, steps=2_000, batch_size=16, peak_rate=6e-4)
CONTROL_PLAN = Plan(steps=300, batch_size=16, peak_rate=4e-4, decay=0.99)


class Workshop:
    """A directory with rendered pictures, latents, checkpoints and logs, and the stages that fill it."""

    def __init__(self, directory: Path, deadline: float | None = None) -> None:
        self.directory = directory
        self.deadline = deadline

    def dataset(self, size: int) -> Dataset:
        """Rendered pictures of a size."""
        return load_dataset(self.directory / f"world{size}")

    def tokenizer(self) -> CLIPTokenizer:
        """Of all captions."""
        return create_tokenizer(self.dataset(SMALL).captions + self.dataset(FULL).captions)

    def autoencoder(self) -> AutoencoderTiny:
        """The averaged weights; those of the longer trained decoder where there are some."""
        vae = create_autoencoder()
        for name in ("decoder.pt", "autoencoder.pt"):
            if state := load_checkpoint(self.directory / name):
                vae.load_state_dict(state["averaged"])
                return vae.eval()
        raise FileNotFoundError(f"{self.directory} has no autoencoder yet; run that stage first.")

    def networks(self, name: str) -> Networks:
        """The averaged weights of a checkpoint."""
        networks = Networks(self.tokenizer())
        state = load_checkpoint(self.directory / name)
        if state is None:
            raise FileNotFoundError(f"{self.directory} has no {name} yet; run that stage first.")
        networks.load_state_dict(state["averaged"])
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
            peak_rate=5e-4,
            seed=1,
            decoder_only=True,
        )

    def train_base(self) -> None:
        """Base and shared ControlNet, on small pictures and then on full ones."""
        self._diffusion(create_networks(self.tokenizer()), SMALL, "base_128.pt", SMALL_PLAN)
        self._diffusion(self.networks("base_128.pt"), FULL, "base_256.pt", FULL_PLAN)

    def train_controlnets(self) -> None:
        """One ControlNet a condition, base locked, from the shared one."""
        for condition in CONDITIONS:
            plan = replace(CONTROL_PLAN, condition=condition)
            self._diffusion(self.networks("base_256.pt"), FULL, f"control_{condition}.pt", plan)

    def train_from_zero(self) -> None:
        """Canny by the paper's start, a silent copy of the encoder, under three seeds: shows sudden convergence."""
        for seed in range(3):
            networks = self.networks("base_256.pt")
            fresh_controlnet(networks, seed)
            plan = replace(CONTROL_PLAN, condition="canny", seed=seed)
            self._diffusion(networks, SMALL, f"zero_{seed}.pt", plan)

    def train_scene_net(self) -> None:
        """The annotators' network."""
        train_scene_net(self.dataset(FULL), self.directory, steps=SCENE_NET_STEPS, deadline=self.deadline)

    def export(self, target: Path) -> None:
        """Write what there is as fp16 files in diffusers' layout."""
        networks = self.networks("base_256.pt")
        export_base(target / "base", networks, self.tokenizer(), self.autoencoder())
        for condition in CONDITIONS:
            own = self.directory / f"control_{condition}.pt"
            trained = self.networks(own.name) if own.exists() else networks
            export_controlnet(target / "controlnet" / condition, trained.controlnet)
        if state := load_checkpoint(self.directory / "scene_net.pt"):
            export_annotator(target / "annotator", state["averaged"])

    def _diffusion(self, networks: Networks, size: int, checkpoint: str, plan: Plan) -> None:
        dataset = self.dataset(size)
        latents = encode_dataset(self.autoencoder(), dataset, self.directory / f"latents{size}.npy")
        plan = replace(plan, deadline=self.deadline)
        train_diffusion(networks, self.tokenizer(), dataset, latents, self.directory / checkpoint, plan)


STAGES: dict[str, Callable[[Workshop], None]] = {
    "pictures": Workshop.pictures,
    "autoencoder": Workshop.train_autoencoder,
    "base": Workshop.train_base,
    "controlnets": Workshop.train_controlnets,
    "decoder": Workshop.train_decoder,
    "annotator": Workshop.train_scene_net,
    "from-zero": Workshop.train_from_zero,
}
"""In order. `from-zero` is a measurement, no part of the shipped files."""
SHIPPED = tuple(name for name in STAGES if name != "from-zero")


def train_embedded(work: Path, target: Path, stages: tuple[str, ...] = SHIPPED, minutes: float | None = None) -> None:
    """Run stages, each for at most `minutes`, and write the files."""
    torch.set_float32_matmul_precision("high")
    for name in stages:
        deadline = None if minutes is None else time.time() + 60 * minutes
        STAGES[name](Workshop(work, deadline))
    if (work / "base_256.pt").exists():
        Workshop(work).export(target)
