"""FLUX.2 equals diffusers' pipelines where these can do the same; units are maps that the base reads, at a strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinInpaintPipeline, Flux2KleinPipeline
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.base import ActiveReference
from cnet_app.diffusion.backbones.controls.flux2_reference import joined_tokens, word_places
from cnet_app.diffusion.backbones.controls.flux2_strength import mixed_attention, shares_of
from cnet_app.diffusion.pipeline import generate
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models import families
from models.errors import CancelledError, InputError
from models.families import FAMILIES
from models.loader import Base
from models.references import NoNetwork
from models.tiny import tiny_base
from tests.diffusion.backbones.latents import CACHE, assert_equal, diffusers_latents, last_preview, preview_of
from tests.diffusion.backbones.latents import latents_of as finished_latents
from tests.diffusion.conftest import control_map, request_for, unit

PHOTO = control_map(7, 96, 64)
HALF = np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2)
WHITE = np.full_like(HALF, 255)
WORDS, PICTURE = 512, 24
"""Tokens of a text, and of a picture of 96 x 64 px."""


def doubled(base: Base) -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    for network in base.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(base, dtype=torch.float64)


@pytest.fixture(scope="module")
def klein() -> Base:
    return doubled(tiny_base("flux2"))


@pytest.fixture(scope="module")
def guided(klein: Base) -> Base:
    """The same networks, not distilled."""
    return replace(klein, is_distilled=False)


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square."""
    plain = {"width": 96, "height": 64, "num_inference_steps": 2, "guidance_scale": 1.0}
    return request_for(*units, **plain | values)


def wide_unit(seed: int = 3, **values: Any) -> ControlUnit:
    given: dict[str, Any] = {"control_image": encode_png(control_map(seed, 96, 64)), "condition": "depth"}
    return unit(**given | values)


def latents_of(base: Base, request: GenerationRequest, **options: Any) -> Tensor:
    """The finished latents of one picture."""
    return finished_latents(base, [NoNetwork()] * len(request.units), request, **options)


def theirs(kind: Any, base: Base, request: GenerationRequest, **options: Any) -> Tensor:
    """Latents of one of diffusers' pipelines, (1, C, h, w) as in training."""
    parts = {"is_distilled": base.is_distilled}
    latents = diffusers_latents(kind, base, request, None, parts, guidance_scale=request.guidance_scale, **options)
    norm: Any = base.vae.bn
    mean, deviation = norm.running_mean, (norm.running_var + base.vae.config.batch_norm_eps).sqrt()
    tokens = (kind._patchify_latents(latents) - mean[:, None, None]) / deviation[:, None, None]
    return kind._unpatchify_latents(tokens)


def picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


def maps(*seeds: int) -> list[Image.Image]:
    return [picture(control_map(seed, 96, 64)) for seed in seeds]


@pytest.fixture(params=["distilled", "guided"])
def case(request: pytest.FixtureRequest, klein: Base, guided: Base) -> tuple[Base, dict[str, Any]]:
    """A base, and the request's values that show it: klein reads no guidance scale, and the other one does."""
    return (klein, {}) if request.param == "distilled" else (guided, {"guidance_scale": 4.0})


Case = tuple[Base, dict[str, Any]]


def test_pictures_from_text(case: Case) -> None:
    base, values = case
    request = wide(**values, num_inference_steps=4)
    assert_equal(latents_of(base, request), theirs(Flux2KleinPipeline, base, request))


@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=["one map", "two maps"])
def test_pictures_from_maps(case: Case, seeds: tuple[int, ...]) -> None:
    base, values = case
    request = wide(*map(wide_unit, seeds), **values)
    found = latents_of(base, request)
    assert_equal(found, theirs(Flux2KleinPipeline, base, request, image=maps(*seeds)))
    assert (found - latents_of(base, wide(**values))).abs().max() > 1e-3


@pytest.mark.parametrize("mask", [WHITE, HALF], ids=["all of it", "a part"])
def test_pictures_from_pictures(case: Case, mask: Any) -> None:
    """diffusers' pipeline also lets the base read the picture itself, and then a map."""
    base, values = case
    shown = wide_unit(control_image=encode_png(PHOTO))
    values |= {"initial_image": encode_png(PHOTO), "inpaint_mask": encode_png(mask)}
    request = wide(shown, wide_unit(4), **values, strength=0.5, num_inference_steps=4)
    expected = theirs(
        Flux2KleinInpaintPipeline, base, request, image=picture(PHOTO), mask_image=picture(mask).convert("L"),
        image_reference=maps(4)[0], strength=0.5,
    )  # fmt: skip
    assert_equal(latents_of(base, request), expected)


def test_a_picture_keeps_what_the_mask_leaves(klein: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF), strength=0.5, num_inference_steps=4)
    made = generate(klein, [], request, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    assert (made[:, 48:] != PHOTO[:, 48:]).any()


def test_latents_come_back_as_the_autoencoder_has_them(klein: Base) -> None:
    image = torch.tensor(PHOTO).permute(2, 0, 1)[None] / 127.5 - 1
    backbone = create_backbone(klein)
    with torch.no_grad():
        plain = klein.vae.encode(image.double()).latent_dist.mode()
        found = backbone.decode(backbone.encode(image, torch.Generator(), CACHE))
        torch.testing.assert_close(found, klein.vae.decode(plain).sample.float(), rtol=1e-4, atol=1e-5)


def test_places_are_those_of_the_library(klein: Base) -> None:
    latents = torch.randn(1, 32, 8, 12)
    references = [ActiveReference(number, torch.randn(1, 32, 8, 12), 1.0) for number in range(2)]
    tokens, places = joined_tokens(latents, references)
    grids: Any = [torch.zeros(1, 128, 4, 6)] * 2
    of_picture = Flux2KleinPipeline._prepare_latent_ids(grids[0])[0]
    of_maps: Any = Flux2KleinPipeline._prepare_image_ids(grids)
    assert torch.equal(places, torch.cat([of_picture, of_maps[0]]))
    packed = Flux2KleinPipeline._pack_latents(Flux2KleinPipeline._patchify_latents(latents))
    assert torch.equal(tokens[0], packed)
    assert torch.equal(word_places(5, latents.device), Flux2KleinPipeline._prepare_text_ids(torch.zeros(1, 5, 1))[0])


@contextmanager
def token_counts(base: Base) -> Iterator[list[int]]:
    """The tokens of pictures and maps of each run of the base."""
    counts: list[int] = []
    handle = base.network.x_embedder.register_forward_hook(lambda _, given, __: counts.append(given[0].shape[1]))
    try:
        yield counts
    finally:
        handle.remove()


def test_a_distilled_base_runs_once_a_step(klein: Base, guided: Base) -> None:
    with token_counts(klein) as counts:
        latents_of(klein, wide(guidance_scale=4.0))
        latents_of(guided, wide())
        assert counts == [PICTURE] * 4
        latents_of(guided, wide(guidance_scale=4.0))
    assert counts == [PICTURE] * 8


def test_half_a_range_joins_the_map_in_half_of_the_steps(klein: Base) -> None:
    late = wide_unit(4, control_guidance_start=0.5)
    with token_counts(klein) as counts:
        latents_of(klein, wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
        assert counts == [2 * PICTURE] * 2 + [PICTURE] * 2
        latents_of(klein, wide(wide_unit(), late, num_inference_steps=4))
    assert counts[4:] == [2 * PICTURE] * 2 + [3 * PICTURE] * 2


def test_a_map_has_the_same_place_in_time_at_every_step(klein: Base) -> None:
    times: list[set[int]] = []
    handle = klein.network.pos_embed.register_forward_hook(lambda _, ids, __: times.append(set(ids[0][:, 0].tolist())))
    request = wide(
        wide_unit(control_guidance_end=0.5), wide_unit(4), wide_unit(5, conditioning_scale=0), num_inference_steps=2
    )
    latents_of(klein, request)
    handle.remove()
    assert times[::2] == [{0, 10, 20}, {0, 20}]


def test_strength_0_is_the_base_alone(case: Case) -> None:
    base, values = case
    plain = latents_of(base, wide(**values))
    with token_counts(base) as counts:
        silent: dict[str, Any]
        for silent in ({"conditioning_scale": 0}, {"strength_curve": ((0, 0), (1, 0))}, {"control_guidance_end": 0}):
            assert torch.equal(latents_of(base, wide(wide_unit(**silent), **values)), plain)
    assert set(counts) == {PICTURE}
    one = latents_of(base, wide(wide_unit(4), **values))
    assert torch.equal(latents_of(base, wide(wide_unit(conditioning_scale=0), wide_unit(4), **values)), one)


def processors_of(base: Base, request: GenerationRequest) -> list[Any]:
    """The processor of a block's attention in each run."""
    found: list[Any] = []
    handle = base.network.transformer_blocks[0].attn.register_forward_pre_hook(
        lambda module, _: found.append(module.processor)
    )
    latents_of(base, request)
    handle.remove()
    return found


def test_strength_1_runs_the_ordinary_attention(klein: Base) -> None:
    own = klein.network.transformer_blocks[0].attn.processor
    request = wide(wide_unit(), num_inference_steps=4)
    assert processors_of(klein, request) == [own] * 4
    full = wide(wide_unit(conditioning_scale=0.5, strength_curve=((0, 2), (1, 2))), num_inference_steps=4)
    assert torch.equal(latents_of(klein, full), latents_of(klein, request))


def test_a_strength_follows_its_curve_and_range(klein: Base) -> None:
    own = klein.network.transformer_blocks[0].attn.processor
    curved = wide_unit(conditioning_scale=0.8, strength_curve=((0, 1), (0.5, 0.5), (1, 0.5)), control_guidance_end=0.75)
    *mixed, last = processors_of(klein, wide(curved, num_inference_steps=4))
    assert [one.shares[0][0] for one in mixed] == pytest.approx([0.8, 0.6, 0.4])
    assert last is own is klein.network.transformer_blocks[0].attn.processor


@pytest.mark.parametrize(
    ("strengths", "shares"),
    [
        ((1,), [(1, (False,))]),
        ((0.25,), [(0.25, (False,)), (0.75, (True,))]),
        ((0.5, 1), [(0.5, (False, False)), (0.5, (True, False))]),
        ((0.75, 0.25), [(0.25, (False, False)), (0.5, (False, True)), (0.25, (True, True))]),
        ((1.5,), [(1.5, (False,)), (-0.5, (True,))]),
    ],
)
def test_shares_of_attention_give_each_map_its_strength(strengths: tuple[float, ...], shares: list[Any]) -> None:
    found = shares_of(strengths)
    assert [(one.weight, one.hidden) for one in found] == shares
    assert sum(one.weight for one in found) == 1
    for number, strength in enumerate(strengths):
        assert sum(one.weight for one in found if not one.hidden[number]) == strength


def test_mixed_attention_is_that_written_out(klein: Base) -> None:
    """Text and picture, 5 tokens, read maps of 3 and 2 at strengths of 0.5 and 1.5; maps read everything."""
    attention: Any = klein.network.single_transformer_blocks[0].attn
    states = torch.randn(1, 10, 32, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        with mixed_attention(klein.network, (0.5, 1.5), 5, (3, 2), states.device):
            found = attention(states)
        fused = attention.to_qkv_mlp_proj(states)
        query, key, value, rest = fused.split([32, 32, 32, fused.shape[-1] - 96], dim=-1)
        query, key, value = (one.unflatten(-1, (2, 16)).transpose(1, 2) for one in (query, key, value))
        scores = (attention.norm_q(query) @ attention.norm_k(key).transpose(2, 3) / 4).exp()
        read = torch.zeros(())
        for weight, kept in ((0.5, [*range(10)]), (1.0, [*range(5), 8, 9]), (-0.5, [*range(5)])):
            mask = torch.zeros(10, 10, dtype=torch.double)
            mask[:, kept] = 1
            mask[5:] = 1
            part = scores * mask
            read = read + weight * (part / part.sum(-1, keepdim=True) @ value)
        written = attention.to_out(torch.cat([read.transpose(1, 2).flatten(2), attention.mlp_act_fn(rest)], dim=-1))
        torch.testing.assert_close(found, written)
        assert (found - attention(states)).abs().max() > 1e-4


def test_a_small_strength_is_close_to_none(case: Case) -> None:
    base, values = case
    plain, full = latents_of(base, wide(**values)), latents_of(base, wide(wide_unit(), **values))
    near = latents_of(base, wide(wide_unit(conditioning_scale=0.01), **values))
    half = latents_of(base, wide(wide_unit(conditioning_scale=0.5), **values))
    distances = [float((one - plain).norm()) for one in (near, half, full)]
    assert distances == sorted(distances)
    assert distances[0] < 0.05 * distances[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": encode_png(HALF)}, r"The mask of a control unit needs control of parts of the picture, which FLUX\.2 does not"),
        ({"weight_map": encode_png(HALF)}, r"The weight_map of a control unit needs control of parts of the picture"),
        ({"prompt": "a ball"}, r"The prompt of a control unit needs ControlNets that read text, which FLUX\.2 does not have"),
        ({"depth_curve": ((0, 1), (1, 0.5))}, r"depth_curve needs weights by block or by side of guidance, which FLUX\.2"),
        ({"control_mode": "custom", "block_weights": (1.0,)}, r"Control mode 'Custom' needs weights by block"),
        ({"control_mode": "prompt"}, r"Control mode 'My prompt is more important' needs weights by block"),
        ({"control_mode": "unbalanced"}, r"Control mode 'Unbalanced' needs weights by block"),
        ({"control_mode": "cfg_resolution"}, r"needs weights by resolution"),
        ({"control_form": "diffusers"}, r"control_form diffusers needs ControlNets with two forms"),
        ({"condition": "inpaint"}, r"Condition inpaint reads an inpaint mask, which FLUX\.2 does not read in a map"),
    ],
)  # fmt: skip
def test_what_needs_a_network_is_refused(klein: Base, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        latents_of(klein, wide(wide_unit(**given)))


def test_guess_mode_is_refused(klein: Base) -> None:
    with pytest.raises(InputError, match="^guess_mode needs weights by block"):
        latents_of(klein, wide(wide_unit(), guess_mode=True))


@pytest.mark.parametrize("given", [{"conditioning_scale": 0.5}, {"strength_curve": ((0, 1), (1, 0.5))}])
def test_a_family_without_a_strength_refuses_it(
    klein: Base, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = replace(FAMILIES["flux2"], reference_strength=False)
    monkeypatch.setattr(families, "FAMILIES", dict(FAMILIES) | {"flux2": facts})
    monkeypatch.setattr(
        "cnet_app.diffusion.backbones.controls.flux2_reference.FAMILIES", dict(FAMILIES) | {"flux2": facts}
    )
    with pytest.raises(InputError, match=r"needs control strengths besides 0 and 1, which FLUX\.2 does not have"):
        latents_of(klein, wide(wide_unit(**given)))
    assert latents_of(klein, wide(wide_unit())).isfinite().all()


def notes_of(base: Base, request: GenerationRequest) -> list[str]:
    notes: list[str] = []
    latents_of(base, request, on_note=notes.append)
    return notes


def test_what_has_no_effect_is_named(klein: Base, guided: Base) -> None:
    request = wide(wide_unit(), residual_interval=2, norm_preserving=True, guidance_scale=4.0, negative_prompt="grey")
    found = "\n".join(notes_of(klein, request))
    assert "residual_interval is 2, which has no effect: FLUX.2 reads maps itself" in found
    assert "norm_preserving is on, which has no effect" in found
    assert "guidance_scale is 4, which has no effect: this base was distilled to few steps" in found
    assert "negative_prompt has no effect: this base reads the prompt alone" in found
    assert notes_of(guided, wide(wide_unit(), guidance_scale=4.0, negative_prompt="grey")) == []


def test_a_prompt_of_several_parts_needs_guidance(klein: Base, guided: Base) -> None:
    request = wide(prompt="a red ball AND a blue box :0.5")
    with pytest.raises(
        InputError, match="needs guidance, which tiny_flux2 does not have: it was distilled to few steps"
    ):
        latents_of(klein, request)
    assert latents_of(guided, replace(request, guidance_scale=4.0)).isfinite().all()


def test_a_job_stops_within_a_step(klein: Base) -> None:
    with pytest.raises(CancelledError):
        latents_of(klein, wide(wide_unit()), cancelled=lambda: True)


@pytest.mark.parametrize("id", [row.id for row in SAMPLERS if row.has_flow_form])
def test_every_sampler_of_flow_matching_runs(klein: Base, id: str) -> None:
    made = latents_of(klein, wide(wide_unit(), scheduler=id, num_inference_steps=4))
    assert made.isfinite().all()
    assert float(made.abs().max()) < 50


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_half_precision(scale: float) -> None:
    base = tiny_base("flux2")
    for network in base.networks:
        torch.nn.Module.to(network, torch.bfloat16)
    request = wide(wide_unit(conditioning_scale=scale))
    made: Sequence[Any] = generate(replace(base, dtype=torch.bfloat16), [NoNetwork()], request)
    assert made[0].shape == (64, 96, 3)


def test_previews_end_in_the_picture(klein: Base) -> None:
    end = preview_of(klein, latents_of(klein, wide()))
    assert end.shape[:2] == (wide().height // 8, wide().width // 8)
    assert np.abs(last_preview(klein, wide()).astype(int) - end).max() <= 1
