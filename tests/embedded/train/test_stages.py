"""The stages on a tiny plan: what is trained is exported, and what is missing is refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from annotators.networks.scene_net import load_scene_net
from cnet_app.cli import main
from cnet_app.embedded.train import embedded
from cnet_app.embedded.train.checkpoints import load_checkpoint
from cnet_app.embedded.train.data.dataset import render
from cnet_app.embedded.train.embedded import train_embedded
from models.errors import InputError
from models.layouts.union import module_of
from models.loader import load_base, load_controlnet
from tests.embedded.train.tiny import NARROW, TINY_PLAN
from tests.source import ROOT

CONTROLNETS = ("canny", "picture")
SHIPPED = ROOT / "models" / "embedded"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the pictures."""
    work = tmp_path_factory.mktemp("work")
    for pictures in (TINY_PLAN.small, TINY_PLAN.full):
        render(work / f"world{pictures.size}", pictures.first_seed, pictures.count, pictures.size, workers=1)
    return work


@pytest.fixture
def work(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and two ControlNets instead of all."""
    monkeypatch.setattr(embedded, "CONTROLNETS", CONTROLNETS)
    return Path(shutil.copytree(rendered, tmp_path / "work"))


def train(work: Path, stages: Sequence[str], start: Path | None = None) -> list[str]:
    """Run stages; return the folders written, relative to the output."""
    output = work.parent / "out"
    written = train_embedded(work, output, CPU, stages=tuple(stages), start=start, plan=TINY_PLAN)
    assert all(any(folder.iterdir()) for folder in written)
    return [str(folder.relative_to(output)) for folder in written]


@pytest.mark.slow
def test_controlnets_trained_from_shipped_files_are_written(work: Path) -> None:
    assert train(work, ["controlnets"], SHIPPED) == [f"controlnet/{id}" for id in CONTROLNETS]
    output = work.parent / "out"
    state = load_checkpoint(work / "control_canny.pt")
    assert state is not None
    written = module_of(load_controlnet(str(output / "controlnet" / "canny"), "embedded")).state_dict()
    averaged = {name: value for name, value in state["averaged"].items() if name.startswith("controlnet.")}
    assert len(averaged) == len(written)
    assert all(torch.equal(written[n.removeprefix("controlnet.")], v.half().float()) for n, v in averaged.items())


@pytest.mark.slow
def test_an_annotator_trained_from_shipped_files_is_written(work: Path) -> None:
    assert train(work, ["annotator"], SHIPPED) == ["annotator"]
    new, old = load_scene_net(work.parent / "out" / "annotator"), load_scene_net(SHIPPED / "annotator")
    differences = [(a - b).abs().max().item() for a, b in zip(new.parameters(), old.parameters(), strict=True)]
    assert 0 < max(differences) < 0.1


@pytest.mark.slow
def test_a_decoder_trained_from_shipped_files_is_written_with_their_encoder(work: Path) -> None:
    assert train(work, ["decoder"], SHIPPED) == ["base"]
    new, old = load_base(str(work.parent / "out" / "base")), load_base(str(SHIPPED / "base"))
    for name in ("encoder", "decoder"):
        same = [torch.equal(a, b) for a, b in zip(
            getattr(new.vae, name).parameters(), getattr(old.vae, name).parameters(), strict=True
        )]  # fmt: skip
        assert all(same) == (name == "encoder")


@pytest.mark.slow
def test_a_base_is_not_written_with_an_encoder_it_was_not_trained_for(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(work, ["autoencoder"], SHIPPED) == []
    assert "The base was trained on latents of another autoencoder and is not written" in capsys.readouterr().out
    with pytest.raises(InputError, match="was trained on latents of another autoencoder; train it on these first"):
        train(work, ["controlnets"], SHIPPED)


@pytest.mark.slow
def test_all_stages_from_nothing_resume_and_ship_a_model_that_loads(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnet_app.embedded.train.networks.CHANNELS", NARROW)
    first = train(work, ["pictures", "autoencoder", "base"])
    assert first == ["base", *(f"controlnet/{id}" for id in CONTROLNETS)]
    before = load_file(work.parent / "out" / "base" / "unet" / "diffusion_pytorch_model.safetensors")
    train(work, ["base"])
    after = load_file(work.parent / "out" / "base" / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert load_base(str(work.parent / "out" / "base")).family == "embedded"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("autoencoder", "world256 has no pictures yet; render them first, with --stage pictures."),
        ("decoder", "has no autoencoder whose decoder could be trained; train it first"),
        ("base", "world256 has no pictures yet|world128 has no pictures yet"),
        ("full", "has no small.pt to go on from; train the base first, with --stage base, or give --start."),
        ("controlnets", "has no full.pt to go on from; train the base first"),
        ("annotator", "world256 has no pictures yet"),
        ("from-zero", "has no full.pt to go on from"),
    ],
)
def test_a_stage_without_its_input_is_refused(stage: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        train_embedded(tmp_path / "work", tmp_path / "out", CPU, stages=(stage,))
    assert not (tmp_path / "out").exists()


CASES = {
    "--stage decodre": "--stage is 'decodre'; did you mean decoder",
    "--minutes 0": "--minutes is 0, but it must be a number above 0.",
    "--minutes nan": "--minutes is nan, but it must be a number above 0.",
    "--start nowhere": "--start is nowhere, which has no base/model_index.json; give a folder such as models/embedded.",
    "--device tpu": "The device is 'tpu', but this machine has: auto, cpu",
    "--device cuda:abc": "The device is 'cuda:abc', but this machine has: auto, cpu",
    "--work file": "--work is file, but file is a file; choose a folder.",
    "--output file/deep": "--output is file/deep, but file is a file; choose a folder.",
}


@pytest.mark.parametrize(("words", "message"), CASES.items(), ids=CASES)
def test_wrong_options_are_refused(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["train", "embedded", *words.split()]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_passes_its_options_on_and_prints_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def record(work: Path, target: Path, device: torch.device, **options: object) -> list[Path]:
        given.update(options, work=work, target=target, device=device)
        return [target / "annotator"] if options["minutes"] else []

    monkeypatch.setattr(embedded, "train_embedded", record)
    words = ["train", "embedded", "--work", "w", "--output", "o", "--device", "cpu"]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--stage", "annotator", "--stage", "annotator", "--minutes", "0.5"]) == 0
    assert given == {
        "work": Path("w"),
        "target": Path("o"),
        "device": CPU,
        "stages": ("annotator",),
        "start": None,
        "minutes": 0.5,
    }
    assert capsys.readouterr().out == "wrote o/annotator\n"
    assert main(words) == 0
    assert given["stages"] == ("pictures", "autoencoder", "base", "controlnets", "decoder", "annotator")
    assert capsys.readouterr().out == "Nothing was written: no stage that ships files is trained yet.\n"
