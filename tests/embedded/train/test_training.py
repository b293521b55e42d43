"""The trainings: locked base, silent start, exact resume. Small data, the real networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

from annotators.networks.scene_net import SceneNet
from cnet_app.embedded.train.common import Training, learning_rate
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.embedded import mean_controlnet
from cnet_app.embedded.train.plan import AutoencoderPlan, DiffusionPlan, StagePlan
from cnet_app.embedded.train.stages.autoencoder import (
    create_autoencoder,
    decode,
    encode,
    psnr,
    to_tensor,
    train_autoencoder,
)
from cnet_app.embedded.train.stages.diffusion import (
    BLOTCH_CELL,
    NOISY,
    NOISY_SHARE,
    Networks,
    blotched_noise,
    create_networks,
    fresh_controlnet,
    spread_timesteps,
    train_diffusion,
)
from cnet_app.embedded.train.stages.scene_net import map_losses, scene_batch, train_scene_net
from cnet_app.embedded.train.stages.score import FidelityScore
from cnet_app.embedded.train.text import bind_colours, create_text_encoder, create_tokenizer, token_ids
from cnet_app.embedded.world.words import COLOURS, SHAPES
from models.layouts.union import module_of
from models.loader import load_controlnet
from tests.embedded.train.tiny import CAPTIONS, NARROW, SIDE, random_dataset, random_latents
from tests.source import ROOT

pytestmark = pytest.mark.slow

PLAN = DiffusionPlan(stage="test", steps=4, batch_size=2, peak_rate=1e-3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return random_dataset()


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return random_latents()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.embedded.train.networks.CHANNELS", NARROW)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_every_caption_word_is_one_token(tmp_path: Path) -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    assert tokenizer.tokenize("a red CONE") == ["a</w>", "red</w>", "cone</w>"]
    assert len(tokenizer.tokenize("zebra")) > 1
    assert create_tokenizer(CAPTIONS[::-1]).get_vocab() == tokenizer.get_vocab()
    tokenizer.save_pretrained(tmp_path)
    again = type(tokenizer).from_pretrained(tmp_path)
    assert torch.equal(token_ids(again, CAPTIONS), token_ids(tokenizer, CAPTIONS))
    assert create_text_encoder(tokenizer)(token_ids(tokenizer, ["a"])).last_hidden_state.shape == (1, 32, 128)


def test_a_things_word_learns_its_colour_and_other_words_stay() -> None:
    captions = [f"a {colour} {shape} under a night sky" for colour in COLOURS for shape in SHAPES]
    tokenizer = create_tokenizer(captions)
    torch.manual_seed(0)
    encoder = create_text_encoder(tokenizer)
    ids = token_ids(tokenizer, ["a red ball under a night sky", "a blue ball under a night sky"])
    before = encoder(ids).last_hidden_state.detach()
    assert bind_colours(encoder, tokenizer, captions, steps=80, batch_size=32) > 0.95
    after = encoder(ids).last_hidden_state.detach()
    ball, sky = 3, 7
    apart = (after[0] - after[1]).norm(dim=1)
    assert apart[ball] > 2 * apart[sky]
    assert (after - before)[:, sky].norm() < 0.5 * before[:, sky].norm()


def test_every_batch_sees_little_noises_and_the_noisy_ones_more_often() -> None:
    torch.manual_seed(0)
    timesteps = spread_timesteps(1000).sort().values
    noisy = (timesteps >= NOISY).float().mean()
    assert noisy == pytest.approx(NOISY_SHARE + (1 - NOISY_SHARE) * (1 - NOISY / 1000), abs=0.01)
    assert (timesteps[:65] < 110).all()
    assert timesteps[-1] == 999


def test_half_of_the_noises_carry_blotches_and_the_others_are_white() -> None:
    torch.manual_seed(0)
    noise = blotched_noise(torch.zeros(400, 4, 32, 32))
    coarse = F.avg_pool2d(noise, 2 * BLOTCH_CELL).flatten(1).std(dim=1).sort().values * 2 * BLOTCH_CELL
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    assert coarse[:200].mean().item() == pytest.approx(0.95, abs=0.05)
    assert coarse[-20:].mean() > 1.5


def test_latents_start_as_a_thumbnail() -> None:
    vae = create_autoencoder()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    thumbnail = F.avg_pool2d((image + 1) / 2, 4)
    packed = F.pixel_unshuffle(thumbnail, 2) * 4 - 2
    with torch.no_grad():
        latents = encode(vae, image)
        assert torch.allclose(latents[:, :12, 1:-1, 1:-1], packed[..., 1:-1, 1:-1], atol=1e-4)
        assert decode(vae, latents).shape == image.shape


@pytest.mark.usefixtures("narrow")
def test_a_fresh_controlnet_is_silent_and_the_base_stays_locked(
    dataset: Dataset, latents: np.ndarray, tmp_path: Path
) -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    networks = create_networks(tokenizer)
    fresh_controlnet(networks, seed=1)
    noisy, hint = torch.randn(1, 16, 8, 8), torch.rand(1, 3, 64, 64)
    words = networks.text_encoder(token_ids(tokenizer, ["a"])).last_hidden_state
    down, middle = networks.controlnet(noisy, 500, words, hint, return_dict=False)
    assert not any(residual.any() for residual in (*down, middle))
    assert torch.equal(networks.controlnet.conv_in.weight, networks.unet.conv_in.weight)

    before = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
    train_diffusion(networks, tokenizer, dataset, latents, tmp_path / "c.pt", PLAN, CPU)
    changed = {
        name.split(".")[0] for name, tensor in networks.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"controlnet"}


@pytest.mark.usefixtures("narrow")
def test_killed_and_resumed_is_as_never_killed(
    dataset: Dataset, latents: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    plan = dataclasses.replace(PLAN, locked=False, no_control=0.2, save_every=2, score_every=3)

    learned: list[int] = []
    learn = Training.learn

    def counted(training: Training, loss: torch.Tensor) -> None:
        learned.append(training.done)
        learn(training, loss)

    monkeypatch.setattr(Training, "learn", counted)

    def killed(_: Networks) -> dict[str, float]:
        raise KeyboardInterrupt

    def train(name: str, score: Callable[[Networks], dict[str, float]] | None = None) -> Networks:
        networks = create_networks(tokenizer, seed=3)
        train_diffusion(networks, tokenizer, dataset, latents, tmp_path / name, plan, CPU, score)
        return networks

    whole = train("whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train("killed.pt", killed)
    assert torch.load(tmp_path / "killed.pt", weights_only=True)["step"] == 2
    learned.clear()
    assert same(whole, train("killed.pt"))
    assert learned == [2, 3]


def reconstruction(vae: AutoencoderTiny, images: np.ndarray) -> float:
    """Return the PSNR of pictures through the autoencoder."""
    pictures = to_tensor(images)
    with torch.no_grad():
        return psnr(decode(vae, encode(vae, pictures)), pictures)


def test_the_autoencoder_learns(dataset: Dataset, tmp_path: Path) -> None:
    flat = np.full((8, SIDE, SIDE, 3), (200, 60, 60), np.uint8)
    smooth = dataclasses.replace(dataset, images=flat)
    plan = AutoencoderPlan(stage="autoencoder", steps=30, batch_size=2, peak_rate=4e-3, crop=32)
    torch.manual_seed(plan.seed)
    before = reconstruction(create_autoencoder(), flat)
    vae = train_autoencoder([smooth], tmp_path, plan, CPU)
    assert (tmp_path / "autoencoder.pt").exists()
    assert reconstruction(vae, flat) > before + 3


def test_a_decoder_trains_alone_and_from_the_given_weights(dataset: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(7)
    first = create_autoencoder()
    plan = AutoencoderPlan(stage="decoder", steps=3, batch_size=2, peak_rate=4e-3, crop=32, decoder_only=True)
    vae = train_autoencoder([dataset], tmp_path, plan, CPU, start_from=first)
    assert same(vae.encoder, first.encoder)
    assert not same(vae.decoder, first.decoder)


def test_the_annotator_network_learns(dataset: Dataset, tmp_path: Path) -> None:
    plan = StagePlan(stage="annotator", steps=12, batch_size=4, peak_rate=3e-3)
    images, targets = scene_batch(dataset, np.arange(8), np.random.default_rng(0))

    def loss(network: SceneNet) -> float:
        with torch.no_grad():
            return float(sum(map_losses(network.eval()(images), targets).values()))

    torch.manual_seed(plan.seed)
    before = loss(SceneNet())
    assert loss(train_scene_net(dataset, tmp_path / "scene_net.pt", plan, CPU)) < 0.9 * before


@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("stage", ["autoencoder", "annotator"])
def test_stopped_at_any_step_and_resumed_is_as_never_stopped(
    stage: str, stop: int, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: str) -> torch.nn.Module:
        if stage == "annotator":
            plan = StagePlan(stage=stage, steps=7, batch_size=2, peak_rate=3e-3, save_every=3)
            return train_scene_net(dataset, tmp_path / folder / "annotator.pt", plan, CPU)
        crops = AutoencoderPlan(stage=stage, steps=7, batch_size=2, peak_rate=4e-3, crop=32, save_every=3)
        return train_autoencoder([dataset], tmp_path / folder, crops, CPU)

    def interrupt(training: Training, loss: torch.Tensor) -> None:
        if training.done == stop:
            raise KeyboardInterrupt
        learn(training, loss)

    whole, learn = train("whole"), Training.learn
    monkeypatch.setattr(Training, "learn", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train("stopped")
    monkeypatch.setattr(Training, "learn", learn)
    assert (tmp_path / "stopped" / f"{stage}.pt").exists() == (stop > 3)
    assert same(whole, train("stopped"))


def test_two_noises_for_one_hint_are_as_two_pictures() -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    networks = create_networks(tokenizer).eval()
    noisy, times, hints = torch.randn(4, 16, 8, 8), torch.tensor([900, 700, 500, 300]), torch.rand(2, 3, 64, 64)
    ids = token_ids(tokenizer, [CAPTIONS[0], ""])
    with torch.no_grad():
        shared = networks.predict(noisy, times, ids, hints, 1.0)
        alone = networks.predict(noisy, times, ids.repeat(2, 1), hints.repeat(2, 1, 1, 1), 1.0)
        swapped = networks.predict(noisy, times, ids, hints.flip(0), 1.0)
    torch.testing.assert_close(shared, alone, rtol=0, atol=1e-4)
    assert (shared - swapped).abs().max() > 1e-3


def test_the_fidelity_score_repeats_and_leaves_the_trainings_chance_alone() -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    networks = create_networks(tokenizer).eval()
    score = FidelityScore(tokenizer, create_autoencoder().eval(), size=64, count=1)
    before = torch.get_rng_state()
    first = score(networks)
    assert torch.equal(torch.get_rng_state(), before)
    assert score(networks) == first
    assert 0 <= first["edge_f1"] <= 1


@pytest.mark.parametrize("steps", [20, 100, 2_000])
def test_the_rate_rises_to_its_peak_and_falls_however_short_the_training(steps: int) -> None:
    rates = [learning_rate(step, steps, 1.0) for step in range(steps)]
    assert rates.index(1.0) <= steps // 5
    assert rates[steps // 2] == 1.0
    assert rates[0] < 0.5
    assert rates[-1] < 0.11


def test_going_on_starts_from_what_all_controlnets_have_in_common() -> None:
    folder = ROOT / "models" / "embedded" / "controlnet"
    mean = mean_controlnet(folder)["controlnet_mid_block.weight"]
    canny = module_of(load_controlnet(str(folder / "canny"), "embedded")).controlnet_mid_block.weight
    assert 0 < (mean - canny).norm() < 0.5 * canny.norm()
