"""Words with vectors of their own: equal to what diffusers makes of them, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from cnet_app.diffusion.backbones.clip import encode_prompts, prompt_notes, read_chunks, token_count
from models import embeddings
from models.catalogue.catalog import Family
from models.errors import DamagedError, InputError
from models.loader import Base
from models.lora.loras import use_loras
from tests.diffusion.conftest import request_for

LAYOUTS = ["a1111", "original", "diffusers", "safetensors", "one vector"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    made = tmp_path / "embeddings"
    made.mkdir()
    return made


def vectors(count: int, width: int = 16, seed: int = 0) -> Tensor:
    return torch.randn((count, width), generator=torch.Generator().manual_seed(seed))


def write(folder: Path, name: str, tensors: Tensor | Mapping[str, Tensor], layout: str = "safetensors") -> None:
    if layout == "safetensors":
        save_file(
            dict(tensors) if isinstance(tensors, Mapping) else {"emb_params": tensors}, folder / f"{name}.safetensors"
        )
        return
    assert isinstance(tensors, Tensor)
    content: dict[str, Any] = {
        "a1111": {"string_to_param": {"*": tensors}, "string_to_token": {"*": 265}, "name": "other", "step": 100},
        "original": {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(tensors)})},
        "diffusers": {"<any>": tensors},
        "one vector": {"<any>": tensors[0]},
    }
    torch.save(content[layout], folder / f"{name}.pt")


def ours(base: Base, prompt: str) -> tuple[Tensor, Tensor | None]:
    with torch.no_grad():
        text = encode_prompts(base, request_for(prompt=prompt, guidance_scale=1))
    return text.states, text.added["text_embeds"] if text.added else None


def theirs(base: Base, prompt: str, found: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """diffusers' encoding. It takes several vectors for a word only where that has no capitals."""
    prompt = prompt.replace("Style", "<style>")
    base = copy.deepcopy(base)
    parts: dict[str, Any] = {"unet": base.network, "vae": base.vae, "scheduler": base.scheduler}
    for number, name in enumerate(("", "_2")[: len(found)]):
        parts |= {f"text_encoder{name}": base.text_encoders[number], f"tokenizer{name}": base.tokenizers[number]}
    cls: Any = StableDiffusionXLPipeline if len(found) > 1 else StableDiffusionPipeline
    if len(found) > 1:
        pipe = cls(**parts, add_watermarker=False)
    else:
        pipe = cls(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for tensor, encoder, tokenizer in zip(found, base.text_encoders, base.tokenizers, strict=True):
        pipe.load_textual_inversion(tensor, token="<style>", text_encoder=encoder, tokenizer=tokenizer)
    with torch.no_grad():
        encoded = pipe.encode_prompt(prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    return encoded[0], encoded[2] if len(found) > 1 else None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_equals_diffusers(bases: dict[Family, Base], folder: Path, layout: str) -> None:
    found = vectors(1 if layout == "one vector" else 3)
    write(folder, "Style", found, layout)
    states, _ = ours(bases["sd15"], "a red ball Style , night")
    torch.testing.assert_close(states, theirs(bases["sd15"], "a red ball Style , night", [found])[0], atol=1e-6, rtol=0)


def test_two_encoders_equal_diffusers_and_the_pooled_text_is_found(bases: dict[Family, Base], folder: Path) -> None:
    found = [vectors(2, seed=1), vectors(2, seed=2)]
    write(folder, "Style", {"clip_l": found[0], "clip_g": found[1]})
    states, pooled = ours(bases["sdxl"], "Style blue cone")
    expected, expected_pooled = theirs(bases["sdxl"], "Style blue cone", found)
    assert pooled is not None
    torch.testing.assert_close(states, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(pooled, expected_pooled, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("style", 3),
        ("a STYLE, red", 6),
        ("embedding:style", 3),
        ("(embedding:Style:1.2) ball", 4),
        ("style.pt", 3),
        ("my style-b", 2 + 1),  # the longer name
        ("red", 1),
    ],
)
def test_whole_words_are_found_however_written(
    bases: dict[Family, Base], folder: Path, prompt: str, tokens: int
) -> None:
    write(folder, "Style", vectors(3), "a1111")
    write(folder, "style-b", vectors(1))
    chunks = read_chunks(bases["sd15"], 0, prompt)
    assert sum(token.vector is not None for token in chunks[0].tokens) == {"red": 0, "my style-b": 1}.get(prompt, 3)
    assert token_count(bases["sd15"], prompt) == tokens


def test_a_part_of_a_word_is_none_and_nothing_is_read(
    bases: dict[Family, Base], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ours(bases["sd15"], "a stylelike restyle style_b red")[0]
    write(folder, "Style", vectors(3), "a1111")
    monkeypatch.delattr(embeddings, "_read")
    assert torch.equal(ours(bases["sd15"], "a stylelike restyle style_b red")[0], before)


def test_the_weight_and_the_replaced_file_count(bases: dict[Family, Base], folder: Path) -> None:
    base = bases["sd15"]
    table = base.text_encoders[0].get_input_embeddings().weight.clone()
    write(folder, "Style", vectors(3), "a1111")
    plain, loud = ours(base, "style ball")[0], ours(base, "(style:1.5) ball")[0]
    ratio = (loud / plain).median(dim=2).values[0]
    torch.testing.assert_close(ratio[1:4] / ratio[4], torch.full((3,), 1.5))
    write(folder, "Style", vectors(2, seed=4), "a1111")
    assert token_count(base, "style ball") == 3
    assert not torch.equal(ours(base, "style ball")[0], plain)
    assert torch.equal(base.text_encoders[0].get_input_embeddings().weight, table)


def test_an_embedding_is_never_parted(bases: dict[Family, Base], folder: Path) -> None:
    write(folder, "style", vectors(10))
    prompt = "red ball " * 4 + "style blue"
    chunks = read_chunks(bases["sd15"], 0, prompt)
    assert [sum(token.vector is not None for token in chunk.tokens) for chunk in chunks] == [0, 10]
    (note,) = prompt_notes(bases["sd15"], request_for(prompt=prompt, guidance_scale=1))
    assert note == "prompt is 19 tokens long and is read in 2 parts of at most 14."


def test_more_vectors_than_a_part_holds_are_told(bases: dict[Family, Base], folder: Path) -> None:
    write(folder, "style", vectors(15))
    with pytest.raises(InputError, match=r"style\.safetensors has 15 vectors, but the base reads at most 14 at once"):
        ours(bases["sd15"], "style")


@pytest.mark.parametrize(
    ("family", "tensors", "made"),
    [
        ("sdxl", vectors(1, 768), "is made for SD 1.5, but the base is SDXL"),
        ("sd15", vectors(1, 1024), "is made for SD 2.1, but the base is SD 1.5"),
        ("sd15", {"clip_l": vectors(1, 768), "clip_g": vectors(1, 1280)}, "is made for SDXL, but the base is SD 1.5"),
        ("sd15", vectors(1, 9), "is made for a base with 9 numbers a word"),
        ("sd15", {"clip_l": vectors(1), "clip_g": vectors(1)}, "is made for a base with 16 and 16 numbers a word"),
        ("sd15", {"a": vectors(1), "b": vectors(1)}, "is no embedding"),
        ("sd15", {"a": torch.ones(1, 1, 16)}, "is no embedding"),
        ("sd15", torch.full((1, 16), float("nan")), "that are none"),
    ],
)
def test_what_does_not_fit_is_refused(
    bases: dict[Family, Base], folder: Path, family: Family, tensors: Any, made: str
) -> None:
    write(folder, "style", tensors)
    with pytest.raises(InputError, match=made):
        ours(bases[family], "a style")
    assert ours(bases[family], "a ball")[0].isfinite().all()


def test_an_unknown_name_damage_and_code_are_told(bases: dict[Family, Base], folder: Path) -> None:
    write(folder, "style", vectors(1))
    with pytest.raises(
        InputError, match=r"no embedding 'styl\.pt' \(did you mean style\?\); put its file into .* there are: style"
    ):
        ours(bases["sd15"], "red, embedding:styl.pt, ball")
    with pytest.raises(InputError, match=r"no embedding '../x'"):
        ours(bases["sd15"], "embedding:../x")
    (folder / "style.safetensors").write_bytes((folder / "style.safetensors").read_bytes()[:-1])
    with pytest.raises(DamagedError):
        ours(bases["sd15"], "style")
    torch.save({"*": vectors(1), "more": Path()}, folder / "code.pt")
    with pytest.raises(InputError, match="might run code"):
        ours(bases["sd15"], "code")


def bundle(folder: Path, words: Mapping[str, Tensor]) -> str:
    """A LoRA that changes nothing, with embeddings inside; returns its path."""
    layer = "unet.mid_block.attentions.0.proj_in"
    update = {f"{layer}.lora_A.weight": torch.zeros(1, 16, 1, 1), f"{layer}.lora_B.weight": torch.zeros(16, 1, 1, 1)}
    path = folder / "bundle.safetensors"
    save_file(update | {f"bundle_emb.{name}": tensor for name, tensor in words.items()}, path)
    return str(path)


@pytest.mark.parametrize("key", ["emb_params", "string_to_param.*"])
def test_a_word_inside_a_lora_equals_the_same_file(bases: dict[Family, Base], folder: Path, key: str) -> None:
    base = copy.deepcopy(bases["sd15"])
    before, _ = ours(base, "a Red night style, ball")
    assert use_loras(base, [(bundle(folder, {f"night style.{key}": vectors(2)}), 1.0)]) == ()
    found, _ = ours(base, "a Red night style, ball")
    use_loras(base, [])
    assert torch.equal(ours(base, "a Red night style, ball")[0], before)
    write(folder, "night style", vectors(2))
    assert torch.equal(ours(base, "a Red night style, ball")[0], found)
    assert not torch.equal(found, before)


def test_words_of_two_encoders_inside_a_lora(bases: dict[Family, Base], folder: Path) -> None:
    base = copy.deepcopy(bases["sdxl"])
    words = {"Style.clip_l": vectors(2, seed=1), "Style.clip_g": vectors(2, seed=2), "Style.clip_l_out": vectors(2)}
    layer = "unet.time_embedding.linear_1"
    width = base.network.time_embedding.linear_1.weight.shape
    update = {f"{layer}.lora_A.weight": torch.zeros(1, width[1]), f"{layer}.lora_B.weight": torch.zeros(width[0], 1)}
    save_file(update | {f"bundle_emb.{name}": tensor for name, tensor in words.items()}, folder / "two.safetensors")
    assert use_loras(base, [(str(folder / "two.safetensors"), 1.0)]) == ()
    expected, _ = theirs(bases["sdxl"], "Style blue cone", [vectors(2, seed=1), vectors(2, seed=2)])
    torch.testing.assert_close(ours(base, "Style blue cone")[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("width", "own", "prompt", "note"),
    [
        (16, False, "a ball", "LoRA bundle.safetensors brings the word 'Style', which is in no prompt; write it there to use it."),
        (24, False, "a style", "The embedding 'Style' in LoRA bundle.safetensors was left out: it is made for another base than SD 1.5."),
        (16, True, "a style", "The embedding 'Style' in LoRA bundle.safetensors was left out: style.safetensors in models/embeddings has the same word."),
        (16, False, "a style", None),
    ],
)  # fmt: skip
def test_what_becomes_of_a_word_inside_a_lora_is_told(
    bases: dict[Family, Base], folder: Path, width: int, own: bool, prompt: str, note: str | None
) -> None:
    base = copy.deepcopy(bases["sd15"])
    use_loras(base, [(bundle(folder, {"Style.emb_params": vectors(2, width)}), 1.0)])
    if own:
        write(folder, "style", vectors(1))
    assert prompt_notes(base, request_for(prompt=prompt, guidance_scale=1)) == ((note,) if note else ())
