"""The stages that make the embedded model; each resumes where it stopped.

pictures → autoencoder → base with one ControlNet of all conditions, on small and then on full pictures → one ControlNet a
condition on the locked base → decoder → annotator network → files under models/embedded/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from transformers import CLIPTokenizer

from annotators.networks.scene_net import load_scene_net
from cnet_app.embedded.train.checkpoints import load_checkpoint
from cnet_app.embedded.train.data.dataset import MAPS, Dataset, load_dataset, render
from cnet_app.embedded.train.data.latents import dataset_latents, encoder_key
from cnet_app.embedded.train.export import export_annotator, export_base, export_controlnet
from cnet_app.embedded.train.model_plan import CONTROLNETS, MODEL_PLAN, SHIPPED, ModelPlan, Pictures
from cnet_app.embedded.train.plan import AutoencoderPlan, DiffusionPlan
from cnet_app.embedded.train.stages.autoencoder import create_autoencoder, train_autoencoder
from cnet_app.embedded.train.stages.diffusion import Networks, create_networks, fresh_controlnet, train_diffusion
from cnet_app.embedded.train.stages.scene_net import train_scene_net
from cnet_app.embedded.train.stages.score import FidelityScore
from cnet_app.embedded.train.text import bind_colours, create_tokenizer
from models.errors import InputError
from models.layouts.union import module_of
from models.loader import Base, load_base, load_controlnet


class TrainingRun:
    """A working folder of pictures, latents, checkpoints and logs, and the stages that fill it.

    `start` is a folder of finished files, such as models/embedded, whose weights take the place of fresh ones.
    `minutes` limits every training.
    """

    def __init__(
        self,
        directory: Path,
        device: torch.device,
        *,
        start: Path | None = None,
        minutes: float | None = None,
        plan: ModelPlan = MODEL_PLAN,
    ) -> None:
        self._directory, self._device, self._start = directory, device, start
        self._minutes, self._plan = minutes, plan
        if start:
            _check_start(start)

    def render_pictures(self) -> None:
        """Render the missing pictures."""
        for pictures in (self._plan.small, self._plan.full):
            render(self._folder(pictures), pictures.first_seed, pictures.count, pictures.size)

    def train_autoencoder(self) -> None:
        """Train encoder and decoder."""
        full, small = self._dataset(self._plan.full), self._dataset(self._plan.small)
        first = self._started_autoencoder()
        self._autoencoder_stage([full, full, small], self._plan.autoencoder, first)

    def train_decoder(self) -> None:
        """Train the decoder alone: latents, and all that was trained on them, remain valid."""
        first = self._saved_autoencoder("autoencoder.pt") or self._started_autoencoder()
        if first is None:
            raise InputError(
                f"{self._directory} has no autoencoder whose decoder could be trained; train it first, with --stage "
                "autoencoder, or give --start."
            )
        self._autoencoder_stage([self._dataset(self._plan.full)], self._plan.decoder, first)

    def train_base(self) -> None:
        """Train base and shared ControlNet, on small pictures and then on full ones."""
        networks = self._started_networks() or create_networks(self._tokenizer())
        nn.Module.to(networks, self._device)
        captions = self._dataset(self._plan.small).captions
        bind_colours(networks.text_encoder, self._tokenizer(), captions, steps=self._plan.colour_steps)
        self._diffusion(networks, self._plan.small, "small.pt", self._plan.small_base)
        self.train_full()

    def train_full(self) -> None:
        """Train base and shared ControlNet on full pictures."""
        networks = self._networks("small.pt")
        self._diffusion(networks, self._plan.full, "full.pt", self._plan.full_base)

    def train_controlnets(self) -> None:
        """Train one ControlNet a condition on the locked base, from the shared one."""
        for condition in CONTROLNETS:
            plan = self._plan.controlnet_of(condition)
            self._diffusion(self._networks("full.pt"), self._plan.full, f"control_{condition}.pt", plan)

    def train_from_zero(self) -> None:
        """Train canny from the paper's start, a copy of the encoder without effect, under three seeds: a measurement."""
        for seed in range(3):
            networks = self._networks("full.pt")
            fresh_controlnet(networks, seed)
            plan = replace(self._plan.from_zero, seed=seed)
            self._diffusion(networks, self._plan.full, f"zero_{seed}.pt", plan)

    def train_annotator(self) -> None:
        """Train the annotators' network."""
        first = load_scene_net(self._start / "annotator") if self._start else None
        plan = replace(self._plan.annotator, deadline=self._deadline())
        train_scene_net(
            self._dataset(self._plan.full), self._directory / "scene_net.pt", plan, self._device, start_from=first
        )

    def export(self, target: Path) -> list[Path]:
        """Write every part that was trained here as fp16 files in diffusers' layout; return the folders written.

        The base is left out where it was not trained on the latents of this autoencoder.
        """
        written: list[Path] = []
        full = self._saved_networks("full.pt")
        vae = self._saved_autoencoder("decoder.pt", "autoencoder.pt") or self._started_autoencoder()
        new = full or (self._started_networks() if self._has("decoder.pt", "autoencoder.pt") else None)
        if new and vae:
            if self._belongs("full.pt", vae):
                export_base(target / "base", new, self._tokenizer(), vae)
                written.append(target / "base")
            else:
                print("The base was trained on latents of another autoencoder and is not written; run --stage base.")
        for condition in CONTROLNETS:
            own = self._saved_networks(f"control_{condition}.pt") or full
            if own:
                export_controlnet(target / "controlnet" / condition, own.controlnet)
                written.append(target / "controlnet" / condition)
        if state := load_checkpoint(self._directory / "scene_net.pt"):
            export_annotator(target / "annotator", state["averaged"])
            written.append(target / "annotator")
        return written

    def _deadline(self) -> float | None:
        return None if self._minutes is None else time.time() + 60 * self._minutes

    def _folder(self, pictures: Pictures) -> Path:
        return self._directory / f"world{pictures.size}"

    def _dataset(self, pictures: Pictures) -> Dataset:
        return load_dataset(self._folder(pictures))

    def _tokenizer(self) -> CLIPTokenizer:
        """Return the tokenizer of the start, or one for all captions."""
        if self._start:
            return CLIPTokenizer.from_pretrained(self._start / "base" / "tokenizer")
        return create_tokenizer(self._dataset(self._plan.small).captions + self._dataset(self._plan.full).captions)

    def _has(self, *names: str) -> bool:
        return any((self._directory / name).exists() for name in names)

    def _started_base(self) -> Base | None:
        return load_base(str(self._start / "base")) if self._start else None

    def _started_autoencoder(self) -> AutoencoderTiny | None:
        base = self._started_base()
        if base is None:
            return None
        vae = create_autoencoder()
        vae.load_state_dict(base.vae.state_dict())
        return vae.eval()

    def _saved_autoencoder(self, *names: str) -> AutoencoderTiny | None:
        """Return the averaged weights of the first of these checkpoints that exists."""
        for name in names:
            if state := load_checkpoint(self._directory / name):
                vae = create_autoencoder()
                vae.load_state_dict(state["averaged"])
                return vae.eval()
        return None

    def _autoencoder(self) -> AutoencoderTiny:
        vae = self._saved_autoencoder("decoder.pt", "autoencoder.pt") or self._started_autoencoder()
        if vae is None:
            raise InputError(
                f"{self._directory} has no autoencoder yet; train it first, with --stage autoencoder, or give --start."
            )
        return vae

    def _started_networks(self) -> Networks | None:
        base = self._started_base()
        if base is None or self._start is None:
            return None
        networks = create_networks(self._tokenizer())
        networks.unet.load_state_dict(base.network.state_dict())
        networks.text_encoder.load_state_dict(base.text_encoders[0].state_dict())
        networks.controlnet.load_state_dict(mean_controlnet(self._start / "controlnet"))
        return networks

    def _saved_networks(self, name: str) -> Networks | None:
        """Return the averaged weights of a checkpoint; None where it does not exist."""
        state = load_checkpoint(self._directory / name)
        if state is None:
            return None
        networks = Networks(self._tokenizer())
        networks.load_state_dict(state["averaged"])
        return networks

    def _networks(self, name: str) -> Networks:
        """Return the averaged weights of a checkpoint, or those of the start."""
        networks = self._saved_networks(name) or self._started_networks()
        if networks is None:
            raise InputError(
                f"{self._directory} has no {name} to go on from; train the base first, with --stage base, or give --start."
            )
        return networks

    def _belongs(self, name: str, vae: AutoencoderTiny) -> bool:
        """Return whether the base of a checkpoint, or else of the start, was trained on latents of this encoder.

        A checkpoint of an older version has no plan, and is trusted.
        """
        state = load_checkpoint(self._directory / name)
        if state:
            return state.get("plan", {}).get("encoder", encoder_key(vae)) == encoder_key(vae)
        started = self._started_autoencoder()
        return started is not None and encoder_key(started) == encoder_key(vae)

    def _autoencoder_stage(self, datasets: list[Dataset], plan: AutoencoderPlan, first: AutoencoderTiny | None) -> None:
        plan = replace(plan, deadline=self._deadline())
        train_autoencoder(datasets, self._directory, plan, self._device, start_from=first)

    def _diffusion(self, networks: Networks, pictures: Pictures, checkpoint: str, plan: DiffusionPlan) -> None:
        dataset = self._dataset(pictures)
        tokenizer, vae = self._tokenizer(), self._autoencoder()
        if plan.locked and not self._belongs("full.pt", vae):
            raise InputError(
                f"The base in {self._directory} was trained on latents of another autoencoder; train it on these first, "
                "with --stage base."
            )
        nn.Module.to(vae, self._device)
        latents = dataset_latents(vae, dataset, self._directory / f"latents{pictures.size}.safetensors")
        plan = replace(plan, deadline=self._deadline(), encoder=encoder_key(vae))
        scored = plan.score_every and plan.condition in (None, "canny")
        score = FidelityScore(tokenizer, vae, pictures.size) if scored else None
        path = self._directory / checkpoint
        train_diffusion(networks, tokenizer, dataset, latents, path, plan, self._device, score)


def _check_start(folder: Path) -> None:
    needed = ["base/model_index.json", "annotator/config.json", *(f"controlnet/{id}/config.json" for id in MAPS)]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise InputError(f"--start is {folder}, which has no {missing[0]}; give a folder such as models/embedded.")


def mean_controlnet(folder: Path) -> dict[str, Tensor]:
    """Return the mean of all conditions' ControlNets: close to the shared one they were trained from."""
    states = [module_of(load_controlnet(str(folder / condition), "embedded")).state_dict() for condition in MAPS]
    return {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}


_RUNS: Mapping[str, Callable[[TrainingRun], None]] = MappingProxyType(
    {
        "pictures": TrainingRun.render_pictures,
        "autoencoder": TrainingRun.train_autoencoder,
        "base": TrainingRun.train_base,
        "full": TrainingRun.train_full,
        "controlnets": TrainingRun.train_controlnets,
        "decoder": TrainingRun.train_decoder,
        "annotator": TrainingRun.train_annotator,
        "from-zero": TrainingRun.train_from_zero,
    }
)
"""The method of every stage."""


def train_embedded(
    work: Path,
    target: Path,
    device: torch.device,
    *,
    stages: tuple[str, ...] = SHIPPED,
    start: Path | None = None,
    minutes: float | None = None,
    plan: ModelPlan = MODEL_PLAN,
) -> list[Path]:
    """Run stages in the given order, write what was trained in `work` to `target`, and return the folders written."""
    run = TrainingRun(work, device, start=start, minutes=minutes, plan=plan)
    for name in stages:
        _RUNS[name](run)
    return run.export(target)
