"""Files whose meaning is not only in their tensors, through the whole engine: what was taken for granted reaches the user."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from cnet_app.engine.protocol import Note, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import Lora
from cnet_app.settings import Settings
from models.errors import InputError
from models.loader import Base, save_base, save_network
from models.machine.memory import module_bytes
from models.tiny import tiny_base
from tests.engine.conftest import small
from tests.models.layouts.original_names import original_layout
from tests.models.layouts.test_checkpoints import create
from tests.models.layouts.test_control_files import control_lora
from tests.models.layouts.test_one_file import create_unet, create_vae

pytestmark = pytest.mark.slow


def wide_base(seed: int) -> Base:
    """A base whose words have SD 1.5's 768 numbers, by which files of one network know their family."""
    torch.manual_seed(seed)
    tiny = tiny_base("sd15")
    settings = tiny.text_encoders[0].config.to_dict() | {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 32}  # fmt: skip
    encoder = CLIPTextModel(CLIPTextConfig(**settings)).eval()
    return replace(tiny, network=create_unet("sd15"), vae=create_vae("sd15"), text_encoders=(encoder,))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bases")
    for name in ("one", "two"):
        save_base(wide_base(len(name) + ord(name[0])), folder / name, torch.float32)
    return folder / "one", folder / "two"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TorchEngine]:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    engine = TorchEngine(Settings(base="sd15", device="cpu", speed="exact", output_dir=tmp_path))
    yield engine
    engine.close()


def run(engine: TorchEngine, request: GenerationRequest) -> tuple[Any, list[str]]:
    """The picture, and the notes."""
    events = list(engine.run(request))
    (made,) = [event.pixels for event in events if isinstance(event, PictureMade)]
    return made, [event.text for event in events if isinstance(event, Note)]


def few_steps(base: Path, **values: Any) -> GenerationRequest:
    """A request without notes of its own: this sampler begins at the last timestep, however few steps there are."""
    return small(base=str(base), scheduler="ddim_trailing", **values)


def controlled(base: Path, controlnet: Path) -> GenerationRequest:
    request = few_steps(base)
    return replace(request, units=(replace(request.units[0], controlnet=str(controlnet)),))


def test_a_network_pooled_by_its_name_makes_the_pooled_picture_and_is_told(
    engine: TorchEngine, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    made = create("sd15")
    state = {name: tensor.clone() for name, tensor in original_layout(made.state_dict()).items()}
    file = tmp_path / "control_v11e_sd15_shuffle.pth"
    torch.save(state, file)
    made.register_to_config(global_pool_conditions=True)
    save_network(made, tmp_path / "folder", torch.float32)
    found, notes = run(engine, controlled(bases[0], file))
    wanted, no_notes = run(engine, controlled(bases[0], tmp_path / "folder"))
    assert len([note for note in notes if "is taken for Shuffle for SD 1.5 by its name" in note]) == 1
    assert not [note for note in no_notes if "is taken for" in note]
    np.testing.assert_array_equal(found, wanted)
    _, again = run(engine, controlled(bases[0], file))
    assert again == notes  # loaded already, and told all the same


def test_a_control_lora_follows_its_base_and_its_memory_is_counted(
    engine: TorchEngine, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    pictures: list[Any] = []
    file = tmp_path / "control-lora.safetensors"
    for number, folder in enumerate(bases):
        base = wide_base({"one": 3 + ord("o"), "two": 3 + ord("t")}[folder.name])
        whole, tensors = control_lora(base.network, 4)
        if not number:
            save_file(tensors, file)
            save_network(whole, tmp_path / "whole", torch.float32)
            found, notes = run(engine, controlled(folder, file))
            before = engine.status().loaded_bytes
            wanted, _ = run(engine, controlled(folder, tmp_path / "whole"))
            assert not notes
            assert np.abs(found.astype(int) - wanted).max() <= 1
            assert engine.status().loaded_bytes - before == module_bytes([whole])
        else:
            found, _ = run(engine, controlled(folder, file))
        pictures.append(found)
    fresh = TorchEngine(Settings(base="sd15", device="cpu", speed="exact", output_dir=tmp_path))
    np.testing.assert_array_equal(run(fresh, controlled(bases[1], file))[0], pictures[1])
    fresh.close()


def test_a_lora_acts_without_its_unknown_parts_which_are_told(
    engine: TorchEngine, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    known = {f"{layer}.lora_A.weight": torch.ones(2, 64), f"{layer}.lora_B.weight": torch.ones(64, 2)}
    strange = {"unet.x.glora_a.weight": torch.ones(2, 2), "bundle_emb.charcoal.emb_params": torch.randn(2, 768)}
    save_file(known, tmp_path / "known.safetensors")
    save_file(known | strange, tmp_path / "mixed.safetensors")
    request = few_steps(bases[0], units=())
    wanted, _ = run(engine, replace(request, loras=(Lora(name=str(tmp_path / "known.safetensors")),)))
    mixed = (Lora(name=str(tmp_path / "mixed.safetensors")),)
    found, notes = run(engine, replace(request, loras=mixed))
    np.testing.assert_array_equal(found, wanted)
    assert [note.split(" ")[0] for note in notes] == ["1", "LoRA"]
    assert "such as unet.x.glora_a.weight" in notes[0]
    assert "brings the word 'charcoal', which is in no prompt" in notes[1]
    with_word, notes = run(engine, replace(request, loras=mixed, prompt="a charcoal ball"))
    without, _ = run(engine, replace(request, loras=(), prompt="a charcoal ball"))
    assert len(notes) == 1
    assert (with_word != without).any()


def test_a_base_without_an_autoencoder_works_with_one_given(
    engine: TorchEngine, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    import json
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(bases[0], bare)
    shutil.move(bare / "vae", tmp_path / "vae")
    index = json.loads((bare / "model_index.json").read_text())
    del index["vae"]
    (bare / "model_index.json").write_text(json.dumps(index))
    request = few_steps(bare, units=())
    with pytest.raises(
        InputError,
        match=r"bare is SD 1\.5 without an autoencoder \(VAE\); choose one with vae \(`--vae`\), such as \w+",
    ):
        run(engine, request)
    found, notes = run(engine, replace(request, vae=str(tmp_path / "vae")))
    wanted, _ = run(engine, replace(request, base=str(bases[0])))
    np.testing.assert_array_equal(found, wanted)
    assert not notes
    engine.unload()
    assert not engine.status().loaded


def test_a_lora_in_the_base_does_not_change_a_control_lora(
    engine: TorchEngine, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    base = wide_base(3 + ord("o"))
    _, tensors = control_lora(copy.deepcopy(base.network), 4)
    save_file(tensors, tmp_path / "control-lora.safetensors")
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file(
        {f"{layer}.lora_A.weight": torch.randn(2, 32), f"{layer}.lora_B.weight": torch.randn(32, 2)},
        tmp_path / "lora.safetensors",
    )
    lora = (Lora(name=str(tmp_path / "lora.safetensors")),)
    request = controlled(bases[0], tmp_path / "control-lora.safetensors")
    first, _ = run(engine, request)
    run(engine, few_steps(bases[0], units=(), loras=lora))  # it stays on the base until the next request
    engine_models: Any = engine._models
    keys = [key for key in engine_models._pool.keys if key[0] == "controlnet"]
    for key in keys:
        del engine_models._pool._models[key]
    again, _ = run(engine, request)
    np.testing.assert_array_equal(again, first)
