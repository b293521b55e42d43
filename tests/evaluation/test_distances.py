"""Fréchet distances and CLIP scores: against torchmetrics where it can compute them, and refusals in words."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from cnet_app.evaluation.clip import NO_PROMPTS, Aesthetics, ClipModel, ClipScore
from cnet_app.evaluation.distances import Folders, InceptionDistance, OwnDistance, frechet_distance
from models.errors import InputError
from models.files import sha256_of
from models.tiny import tiny_base
from tests.evaluation.conftest import depth_map, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchmetrics.image.fid import FrechetInceptionDistance


class Corners(nn.Module):
    """Four features of a picture."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) → (B, 4)."""
        return pictures.float().mean(dim=1)[:, ::7, ::7].reshape(len(pictures), -1)[:, :4]


def test_the_frechet_distance_is_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    one, other = (torch.from_numpy(rng.integers(low, 200, (40, 3, 8, 8)).astype(np.uint8)) for low in (0, 60))
    metric = FrechetInceptionDistance(feature=Corners(), input_img_size=(3, 8, 8))
    metric.update(one, real=True)
    metric.update(other, real=False)
    mine = frechet_distance(Corners()(other).double().numpy(), Corners()(one).double().numpy())
    assert mine == pytest.approx(float(metric.compute()), rel=1e-3)


def test_the_frechet_distance_of_one_set_is_nought_and_of_few_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 5))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(np.ones((9, 5)), np.ones((9, 5))) == 0.0  # a singular covariance gives no NaN
    assert frechet_distance(rows, rows + 2) == pytest.approx(20)
    with pytest.raises(InputError, match=r"^not enough pictures \(needs 6, has 5\)$"):
        frechet_distance(rows[:5], rows)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, ...]:
    for number in range(3):
        write(tmp_path / "real" / f"{number}.png", depth_map(number))
    return tuple(sorted((tmp_path / "real").iterdir()))


def test_the_projects_own_distance_names_itself_and_needs_enough_pictures(pictures: tuple[Path, ...]) -> None:
    own = OwnDistance()
    found = own.measure(Folders("a", pictures, ("",) * 3, pictures[0].parent))
    assert (found.id, found.value, found.note) == ("fd_own", None, "not enough pictures (needs 129, has 3)")
    assert "FID" not in found.title
    assert len(found.facts["sha256"]) == 64 and found.facts["real pictures"] == "3"
    assert own.measure(Folders("a", pictures, ("",) * 3, None)).note == "needs the folder of real pictures, --reference"


def test_the_projects_own_features_tell_noise_from_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        write(tmp_path / "like" / f"{number}.png", depth_map(number))
        write(tmp_path / "noise" / f"{number}.png", rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    like, noise = (OwnDistance().features(sorted((tmp_path / name).iterdir())) for name in ("like", "noise"))
    assert like.shape == (4, 128)
    assert np.linalg.norm(like.mean(axis=0) - noise.mean(axis=0)) > 2 * np.linalg.norm(
        like[:2].mean(0) - like[2:].mean(0)
    )


def test_enough_features_make_a_number(pictures: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sets = {pictures: rng.normal(0, 1, (200, 4)), (): rng.normal(3, 1, (200, 4))}
    monkeypatch.setattr(OwnDistance, "features", lambda _, paths: sets[tuple(paths)])
    (pictures[0].parent.parent / "empty").mkdir()
    found = OwnDistance().measure(Folders("a", pictures, ("",) * 3, pictures[0].parent.parent / "empty"))
    assert found.value == pytest.approx(36, rel=0.1)
    assert (found.count, found.facts["real pictures"]) == (200, "200")  # those that were read


def test_fid_without_its_weights_or_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--fid is .*none\.pth, but there is no such file; give Inception's weights"):
        InceptionDistance(tmp_path / "none.pth")
    (tmp_path / "weights.pth").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"--fid (needs the packages torchmetrics and torch-fidelity|is .*holds no weights)"
    ):
        InceptionDistance(tmp_path / "weights.pth")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP model with random weights."""
    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    (tokenizer,) = tiny_base("sd15").tokenizers
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {"vocab_size": len(tokenizer), "max_position_embeddings": 77, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=small | {"image_size": 32, "patch_size": 16}, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_clip_score_is_the_models_own_cosine(clip_folder: Path, pictures: tuple[Path, ...]) -> None:
    clip = ClipModel(clip_folder)
    found = ClipScore(clip).measure(Folders("a", pictures, ("a cat", "", "a dog"), None))
    assert found.count == 2
    values: list[float] = []
    for path, text in ((pictures[0], "a cat"), (pictures[2], "a dog")):
        from annotators.sources.images import load_image

        tokens = clip._tokenizer(text, return_tensors="pt")
        pixels = clip._processor(images=load_image(path), return_tensors="pt")["pixel_values"]
        output = clip._model(**tokens, pixel_values=pixels)
        values.append(max(0.0, float(output.logits_per_image / clip._model.logit_scale.exp()) * 100))
    assert found.value == pytest.approx(np.mean(values), abs=1e-4)
    assert found.facts["model"] == "tiny-clip"
    assert found.facts["sha256"] == sha256_of(clip_folder / "model.safetensors")
    assert (found.facts["resize"], found.facts["crop"]) == ("shortest edge 32 px", "centre, height 32 px, width 32 px")
    assert ClipScore(clip).measure(Folders("a", pictures, ("",) * 3, None)).note == NO_PROMPTS


def test_aesthetics_are_the_layer_on_unit_embeddings(
    clip_folder: Path, pictures: tuple[Path, ...], tmp_path: Path
) -> None:
    clip, path = ClipModel(clip_folder), tmp_path / "layer.safetensors"
    save_file({"weight": torch.ones(1, 8), "bias": torch.full((1,), 2.0)}, path)
    found = Aesthetics(clip, path).measure(Folders("a", pictures, ("",) * 3, None))
    embeddings = clip.image_embeddings(pictures)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3))
    assert found.value == pytest.approx(float(embeddings.sum(dim=1).mean()) + 2, abs=1e-5)
    assert found.facts["sha256 of the predictor"] == sha256_of(path)
    save_file({"weight": torch.ones(1, 9), "bias": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"a layer of \(1, 9\), but the CLIP model of .* needs one of \(1, 8\)"):
        Aesthetics(clip, path)
    with pytest.raises(InputError, match="cannot be read as a linear layer"):
        Aesthetics(clip, tmp_path / "none.pth")


def test_a_folder_without_a_clip_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which holds no CLIP model"):
        ClipModel(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as a CLIP model"):
        ClipModel(tmp_path)
