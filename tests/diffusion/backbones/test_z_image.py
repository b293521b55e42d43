"""Z-Image equals diffusers' pipelines where these can do the same, and does what they cannot."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    ZImageControlNetInpaintPipeline,
    ZImageControlNetPipeline,
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
)
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.controls.z_image import HintedZImage, embed_hint
from cnet_app.diffusion.backbones.z_image_tokens import embed, join, network_time
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import Step, generate
from cnet_app.diffusion.prompt_syntax import has_weights, plain_words
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.errors import CancelledError, InputError
from models.families import FAMILIES
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.z_image import CONTROL_LAYOUTS, tiny_z_image_controlnet
from tests.diffusion.backbones.latents import (
    CACHE,
    assert_equal,
    diffusers_latents,
    last_preview,
    latents_of,
    preview_of,
)
from tests.diffusion.conftest import control_map, request_for, unit

PHOTO = encode_png(control_map(7, 96, 64))
HALF = encode_png(np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2))
WITH_REFINER = tuple(layout for layout in CONTROL_LAYOUTS if layout != "1")


@pytest.fixture(scope="module")
def base() -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    made = tiny_base("z_image")
    for network in made.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(made, dtype=torch.float64)


@pytest.fixture(scope="module")
def single() -> Base:
    """In single precision: diffusers' pipeline for pictures draws noise of the text's precision."""
    return tiny_base("z_image")


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return {layout: tiny_z_image_controlnet(layout, seed=1).double() for layout in CONTROL_LAYOUTS}


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square, whose tokens are no multiple of 32."""
    return request_for(*units, **{"width": 96, "height": 64, "num_inference_steps": 2} | values)


def of_diffusers(layout: str, **values: Any) -> ControlUnit:
    """A unit run as diffusers does; version 1 has one form only."""
    return unit(**values) if layout == "1" else unit(control_form="diffusers", **values)


def picture_of(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def theirs(kind: Any, base: Base, request: GenerationRequest, net: Any = None, **options: Any) -> Tensor:
    if net is not None:
        options |= {
            "control_image": Image.fromarray(request.units[0].pixels).resize((request.width, request.height), 0),
            "controlnet_conditioning_scale": request.units[0].conditioning_scale,
        }
    guided = {"guidance_scale": request.guidance_scale - 1, "negative_prompt": request.negative_prompt}
    return diffusers_latents(kind, base, request, net, **guided, **options)


GUIDANCE = pytest.mark.parametrize("guidance_scale", [1.0, 4.0])


@GUIDANCE
def test_pictures_from_text(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, negative_prompt="a much longer negative prompt than the prompt is")
    assert_equal(latents_of(base, [], request), theirs(ZImagePipeline, base, request))


@GUIDANCE
def test_pictures_from_pictures(single: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, initial_image=PHOTO, strength=0.5, num_inference_steps=4)
    expected = theirs(ZImageImg2ImgPipeline, single, request, image=picture_of(PHOTO), strength=0.5)
    assert_equal(latents_of(single, [], request), expected)


@GUIDANCE
def test_pictures_with_a_part_repainted(single: Base, guidance_scale: float) -> None:
    request = wide(
        guidance_scale=guidance_scale, initial_image=PHOTO, inpaint_mask=HALF, strength=0.5, num_inference_steps=4
    )
    given = {"image": picture_of(PHOTO), "mask_image": picture_of(HALF), "strength": 0.5}
    assert_equal(latents_of(single, [], request), theirs(ZImageInpaintPipeline, single, request, **given))


@GUIDANCE
@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_control_in_the_form_of_diffusers(base: Base, nets: dict[str, Any], layout: str, guidance_scale: float) -> None:
    given = of_diffusers(layout, conditioning_scale=0.75, control_image=encode_png(control_map(3, 96, 64)))
    request = wide(given, guidance_scale=guidance_scale, negative_prompt="green")
    found = latents_of(base, [nets[layout]], request)
    assert_equal(found, theirs(ZImageControlNetPipeline, base, request, nets[layout]))
    assert (found - latents_of(base, [], replace(request, units=()))).abs().max() > 0.05


@pytest.mark.parametrize("layout", WITH_REFINER)
def test_a_network_reads_the_known_part(base: Base, nets: dict[str, Any], layout: str) -> None:
    given = of_diffusers(layout, control_image=encode_png(control_map(3, 96, 64)))
    request = wide(given, initial_image=PHOTO, inpaint_mask=HALF)
    seen: list[Tensor] = []
    hook = (
        nets[layout].control_all_x_embedder["2-1"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    )
    theirs(
        ZImageControlNetInpaintPipeline,
        base,
        request,
        nets[layout],
        image=picture_of(PHOTO),
        mask_image=picture_of(HALF),
    )
    expected = seen.pop()
    generate(base, [nets[layout]], request)
    hook.remove()
    assert_equal(seen[-1], expected)
    picture = generate(base, [nets[layout]], request)[0]
    np.testing.assert_array_equal(picture[:, :48], np.asarray(picture_of(PHOTO))[:, :48])


@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_strength_0_is_the_base_alone(base: Base, nets: dict[str, Any], layout: str) -> None:
    plain = latents_of(base, [], wide(guidance_scale=4))
    assert torch.equal(latents_of(base, [nets[layout]], wide(unit(conditioning_scale=0), guidance_scale=4)), plain)
    places = len(prepare(base, nets[layout], unit()).places)
    silent = unit(control_mode="custom", block_weights=(0.0,) * places, unconditional_block_weights=(0.0,) * places)
    assert torch.equal(latents_of(base, [nets[layout]], wide(silent, guidance_scale=4)), plain)


@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_half_a_range_halves_the_runs(
    base: Base, nets: dict[str, Any], layout: str, count_runs: Callable[..., Any]
) -> None:
    runs = count_runs(net=nets[layout].control_layers[-1], base=base.network.layers[0])
    request = wide(unit(control_guidance_end=0.5), num_inference_steps=4, guidance_scale=4)
    found = latents_of(base, [nets[layout]], request)
    assert runs["base"] == 4
    assert runs["net"] == (4 if layout == "2.0" else 2)  # whose main layers run for the refiner too
    assert not torch.equal(found, latents_of(base, [nets[layout]], replace(request, units=(unit(),))))


def prepare(base: Base, net: Any, given: ControlUnit, **values: Any) -> Any:
    with torch.no_grad():
        return create_backbone(base).prepare_control(given, net, wide(given, **values), CACHE)


def residuals_of(base: Base, net: Any, given: ControlUnit, strength: float = 1.0, **values: Any) -> dict[int, Tensor]:
    """Of one unit at the second of four steps, with guidance."""
    request = wide(given, guidance_scale=4, negative_prompt="some longer words, in order to be longer", **values)
    backbone = create_backbone(base)
    with torch.no_grad():
        control: Any = backbone.prepare_control(given, net, request, CACHE)
        text = backbone.encode_texts(request, [control], CACHE, 1)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
        found = unit_residuals(control, strength, backbone.pack(latents, text), torch.tensor(700.0), text)
    return dict(found)


def authors_reference(
    base: Base, net: Any, text: Any, latents: Tensor, timestep: Tensor, image: Tensor, scale: float
) -> Tensor:
    """The authors' forward, written out: hints change the base's own tokens, which control and main layers read."""
    transformer: Any = base.network
    backbone = create_backbone(base)
    batch = backbone.pack(latents, text)
    time = transformer.t_embedder(network_time(timestep, len(batch)) * 1000)
    picture, words = embed(transformer, batch, text)
    encoded = (base.vae.encode(2 * image - 1).latent_dist.mode() - 0.1159) * 0.3611
    encoded = torch.cat([encoded, torch.zeros(1, 17, *encoded.shape[2:])], 1)
    control = embed_hint(net, encoded, transformer.x_pad_token).repeat(len(batch), 1, 1)
    shared = net.config["add_control_noise_refiner"] == "control_layers"
    stack = control
    for layer in net.control_layers if shared else net.control_noise_refiner:
        stack = layer(stack, picture.states, picture.mask, picture.places, time)
    *hints, control = stack.unbind()
    states = picture.states
    for layer, hint in zip(transformer.noise_refiner, hints[:2], strict=True):
        states = layer(states, picture.mask, picture.places, time) + hint * scale
    caption = words.states
    for layer in transformer.context_refiner:
        caption = layer(caption, words.mask, words.places)
    words = replace(words, states=caption)
    joint = join(transformer, replace(picture, states=states), words)
    stack = join(transformer, replace(picture, states=control), words).states
    for layer in net.control_layers:
        stack = layer(stack, joint.states, joint.mask, joint.places, time)
    residuals = dict(zip(net.config["control_layers_places"], stack.unbind()[:-1], strict=True))
    tokens = joint.states
    for number, layer in enumerate(transformer.layers):
        tokens = layer(tokens, joint.mask, joint.places, time)
        tokens = tokens + residuals[number] * scale if number in residuals else tokens
    tokens = transformer.all_final_layer["2-1"](tokens, c=time)
    rows = transformer.unpatchify(list(tokens), [(1, *latents.shape[2:])] * len(batch), 2, 1)
    negative, positive = -torch.stack(rows)[:, :, 0]
    return (negative + 4 * (positive - negative))[None]


@pytest.mark.parametrize("layout", WITH_REFINER)
def test_control_in_the_form_of_the_authors(base: Base, nets: dict[str, Any], layout: str) -> None:
    given = unit(conditioning_scale=0.75, control_image=encode_png(control_map(3, 96, 64)))
    request = wide(given, guidance_scale=4, negative_prompt="green", num_inference_steps=2)
    with torch.no_grad():
        text = create_backbone(base).encode_texts(request, [], CACHE, 1)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(request.seed))
        image = torch.tensor(given.pixels).permute(2, 0, 1)[None].double() / 255
        scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
        scheduler.set_timesteps(2, sigmas=[1.0, 0.5])
        for timestep in scheduler.timesteps:
            prediction = authors_reference(base, nets[layout], text, latents, timestep, image, 0.75).float()
            latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
    found = latents_of(base, [nets[layout]], request)
    assert_equal(found, latents)
    of_library = latents_of(base, [nets[layout]], replace(request, units=(replace(given, control_form="diffusers"),)))
    assert (found - of_library).abs().max() > 0.01


def test_residuals_of_version_1_are_linear_in_strength_and_the_others_not(base: Base, nets: dict[str, Any]) -> None:
    for layout in CONTROL_LAYOUTS:
        whole, half = (residuals_of(base, nets[layout], unit(), strength) for strength in (1.0, 0.5))
        place = max(whole)
        linear = torch.allclose(whole[place], 2 * half[place], atol=1e-5)
        assert prepare(base, nets[layout], unit()).network.linear == linear == (layout == "1")


@pytest.mark.parametrize("layout", ["1", "2.1"])
def test_between_runs_only_linear_residuals_are_scaled(
    base: Base, nets: dict[str, Any], layout: str, count_runs: Callable[..., Any]
) -> None:
    runs = count_runs(net=nets[layout].control_layers[-1])
    curved = unit(strength_curve=((0.0, 1.0), (0.5, 1.0), (0.75, 0.2)))
    latents_of(base, [nets[layout]], wide(curved, num_inference_steps=4, residual_interval=4))
    assert runs["net"] == (1 if layout == "1" else 2)


def test_a_prompt_that_changes_its_length_makes_networks_run(
    base: Base, nets: dict[str, Any], count_runs: Callable[..., Any]
) -> None:
    runs = count_runs(net=nets["1"].control_layers[-1])
    changing = "[a:a very much longer text, of more tokens than the first one of all:0.5]"
    latents_of(base, [nets["1"]], wide(unit(), prompt=changing, num_inference_steps=4, residual_interval=4))
    assert runs["net"] == 2


@pytest.mark.parametrize("layouts", [("1", "2.1"), ("lite", "2.0")])
def test_units_of_different_networks_add(base: Base, nets: dict[str, Any], layouts: tuple[str, str]) -> None:
    units = unit(0, conditioning_scale=0.5), unit(1, condition="depth", conditioning_scale=0.4)
    both = [nets[layout] for layout in layouts]
    steps: list[Step] = []
    norms: list[list[list[float]]] = []
    request = wide(*units, guidance_scale=4)
    latents_of(base, both, request, on_step=lambda step: (steps.append(step), norms.append(step.norms())))
    one, other = (residuals_of(base, net, given) for net, given in zip(both, units, strict=True))
    assert [len(norm) for norm in norms[0]] == [len(one.keys() | other.keys())] * 2
    assert [norm > 0 for norm in norms[0][0]] == [place in one for place in sorted(one.keys() | other.keys())]
    together = latents_of(base, both, request)
    swapped = latents_of(base, both[::-1], replace(request, units=units[::-1]))
    torch.testing.assert_close(together, swapped, rtol=1e-4, atol=1e-4)
    assert (together - latents_of(base, both[:1], replace(request, units=units[:1]))).abs().max() > 0.01
    assert latents_of(base, both, replace(request, norm_preserving=True)).isfinite().all()


@pytest.mark.parametrize("layout", ["1", "2.1"])
def test_a_mask_leaves_text_and_the_rest_of_the_picture_alone(base: Base, nets: dict[str, Any], layout: str) -> None:
    whole = residuals_of(base, nets[layout], unit())
    masked = residuals_of(base, nets[layout], unit(mask=HALF))
    columns = 6  # tokens of 16 px in a row of 96 px
    for place, residual in masked.items():
        image, rest = residual[:, :24], residual[:, 24:]
        assert not rest.any()
        grid = image.unflatten(1, (4, columns))
        assert not grid[:, :, :3].any()
        assert grid[:, :, 3:].abs().amax(dim=(0, 3)).min() > 0
        if layout == "1":
            torch.testing.assert_close(grid[:, :, 3:], whole[place][:, :24].unflatten(1, (4, columns))[:, :, 3:])
    white = residuals_of(base, nets[layout], unit(mask=encode_png(np.full((64, 96, 3), 255, np.uint8))))
    if layout == "1":
        for place, residual in white.items():
            torch.testing.assert_close(residual[:, :24], whole[place][:, :24])


@pytest.mark.parametrize("layout", ["1", "2.1"])
def test_control_of_one_side_of_guidance(
    base: Base, nets: dict[str, Any], layout: str, count_runs: Callable[..., Any]
) -> None:
    """The network runs for the prompt's rows alone; the negative prompt is longer, and so is the base's sequence."""
    runs = count_runs(net=nets[layout].control_layers[-1])
    both = residuals_of(base, nets[layout], unit())
    assert runs.pop("net") == 1
    one = residuals_of(base, nets[layout], unit(control_mode="unbalanced"))
    assert one.keys() == both.keys()
    for place, residual in one.items():
        assert residual.shape == both[place].shape
        assert not residual[0].any()
        known = residual.shape[1] if place < 2 else 32 + 32  # tokens of the picture and of the shorter text
        torch.testing.assert_close(residual[1, :known], both[place][1, :known], rtol=1e-4, atol=1e-5)
    request = wide(unit(control_mode="unbalanced"), guidance_scale=4, negative_prompt="b" * 60)
    assert latents_of(base, [nets[layout]], request).isfinite().all()


@pytest.mark.parametrize("mode", ["cfg_resolution", "cfg_resolution_normalised"])
def test_weights_by_resolution_are_refused(base: Base, nets: dict[str, Any], mode: str) -> None:
    with pytest.raises(InputError, match="needs weights by resolution, which Z-Image does not have"):
        generate(base, [nets["1"]], wide(unit(control_mode=mode)))


def test_what_a_network_cannot_do_is_refused(base: Base, nets: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="control_form is diffusers, but the ControlNet of Canny has one form only"):
        generate(base, [nets["1"]], wide(unit(control_form="diffusers")))
    with pytest.raises(InputError, match="The prompt of a control unit needs ControlNets that read text"):
        generate(base, [nets["1"]], wide(unit(prompt="a blue box")))
    with pytest.raises(InputError, match="inpaint has no ControlNet for Z-Image"):
        generate(base, [nets["1"]], wide(unit(condition="inpaint"), initial_image=PHOTO, inpaint_mask=HALF))
    larger = tiny_z_image_controlnet("1")
    larger.register_to_config(dim=64)
    with pytest.raises(
        InputError, match="was made for a base of 64 channels and more than 2 layers, but this one has 32"
    ):
        generate(base, [larger], wide(unit()))


def test_a_job_stops_within_a_step(base: Base, nets: dict[str, Any]) -> None:
    steps: list[Step] = []
    with pytest.raises(CancelledError):
        generate(base, [nets["2.1"]], wide(unit()), on_step=steps.append, cancelled=lambda: len(steps) > 0)
    assert len(steps) == 1
    assert not base.network.noise_refiner[0]._forward_hooks


def test_a_preview_shows_what_is_predicted(base: Base) -> None:
    end = preview_of(base, latents_of(base, [], wide()))
    assert np.abs(last_preview(base, wide()).astype(int) - end).max() <= 1


@pytest.mark.parametrize("scheduler", ["euler", "heun", "unipc", "dpmpp_2m"])
def test_every_sampler_of_flow_matching(base: Base, nets: dict[str, Any], scheduler: str) -> None:
    for given in ({}, {"initial_image": PHOTO, "strength": 0.5, "inpaint_mask": HALF, "num_inference_steps": 4}):
        assert latents_of(base, [nets["1"]], wide(unit(), scheduler=scheduler, **given)).isfinite().all()
    with pytest.raises(InputError, match="DDIM has no form for flow matching"):
        generate(base, [], wide(scheduler="ddim"))


def test_prompts_change_and_have_parts(base: Base) -> None:
    first, second = (latents_of(base, [], wide(prompt=text)) for text in ("a red ball", "a blue box"))
    changing = latents_of(base, [], wide(prompt="[a red ball:a blue box:1]"))
    assert not torch.equal(changing, first)
    assert not torch.equal(changing, second)
    assert torch.equal(latents_of(base, [], wide(prompt="[a red ball:a blue box:9]")), first)
    joined = latents_of(base, [], wide(prompt="a red ball AND a blue box", guidance_scale=4))
    assert not torch.equal(joined, latents_of(base, [], wide(prompt="a red ball, a blue box", guidance_scale=4)))
    alone = latents_of(base, [], wide(prompt="a red ball AND a blue box :0", guidance_scale=4))
    assert_equal(alone, latents_of(base, [], wide(prompt="a red ball", guidance_scale=4)))


def test_weights_of_words_are_noted_and_left_out(base: Base) -> None:
    notes: list[str] = []
    weighed = latents_of(base, [], wide(prompt="a (red:1.3) ball"), on_note=notes.append)
    assert torch.equal(weighed, latents_of(base, [], wide()))
    assert notes == ["prompt gives words weights, which Z-Image does not have: they are read as plain words."]
    assert plain_words(r"a ((b:1.2) c) \(d\)") == "a b c (d)"
    assert not has_weights(r"a \(d\) BREAK b")


def test_notes_on_prompts(base: Base, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    generate(base, [], wide(prompt="a" * 600, negative_prompt="b", guidance_scale=1), on_note=notes.append)
    assert any(note.startswith("prompt is 6") and "of which 512 are read" in note for note in notes)
    assert "negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it." in notes
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "badhands.pt").touch()
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    notes = []
    generate(base, [], wide(prompt="badhands"), on_note=notes.append)
    assert notes == ["prompt names badhands.pt, but Z-Image reads no embeddings: it is a plain word."]


def test_an_image_prompt_is_refused(base: Base) -> None:
    adapter: Any = object()
    with pytest.raises(InputError, match="An image prompt needs image prompts"):
        create_backbone(base).use_image_prompt(adapter, 1.0)


def test_the_row_states_what_diffusers_declares(base: Base) -> None:
    facts = FAMILIES["z_image"]
    assert (base.vae.config["scaling_factor"], base.vae.config["shift_factor"]) == (
        facts.latent_scaling, facts.latent_shift
    )  # fmt: skip
    assert base.vae_scale_factor * 2 == facts.side_multiple
    assert isinstance(prepare(base, tiny_z_image_controlnet("1"), unit()).network, HintedZImage)
