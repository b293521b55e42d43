"""Weights, ranges and modes of control, and how often networks run for them."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, MultiControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image

from cnet_app.diffusion.backbones import create_backbone, unet
from cnet_app.diffusion.backbones.base import Text
from cnet_app.diffusion.backbones.clip import encode_prompts
from cnet_app.diffusion.backbones.controls.unet import controlnet_places, encode_hint, with_encoded_hint
from cnet_app.diffusion.control import place_norms, sum_residuals, unit_residuals
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.pixels import to_pixels
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.diffusion.steering import control_tensor, create_steering
from cnet_app.registry.modes import MODES, even_places
from cnet_app.request.factors import active_steps, runs_at
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import Family
from models.errors import InputError
from models.families import FAMILIES
from models.loader import Base
from tests.diffusion.conftest import control_map, prepare, request_for, unit
from tests.families import UNETS

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
CountRuns = Callable[..., Counter[str]]


SD15 = (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8)
SOFT = (0.0994, 0.1205, 0.1461, 0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.825, 1.0)
NORMALISED = tuple(reduction / 8 for reduction in SD15)


@pytest.mark.parametrize(
    ("mode", "conditional", "unconditional"),
    [
        ("balanced", (1.0,) * 13, (1.0,) * 13),
        ("prompt", SOFT, SOFT),
        ("control", SOFT, None),
        ("unbalanced", (1.0,) * 13, None),
        ("cfg_resolution", SD15, None),
        ("cfg_resolution_normalised", NORMALISED, None),
    ],
)
def test_weights_of_the_modes(
    mode: str, conditional: tuple[float, ...], unconditional: tuple[float, ...] | None
) -> None:
    for scale in (1.0, 1.5):
        found = create_steering(unit(), MODES[mode], even_places(SD15), scale, "ControlNet")
        other = found.unconditional
        np.testing.assert_allclose(found.conditional, np.multiply(conditional, scale), atol=1e-4)
        assert (other is None) == (unconditional is None)
        if other is not None and unconditional is not None:
            np.testing.assert_allclose(other, np.multiply(unconditional, scale), atol=1e-4)


def test_reductions_of_the_real_layouts() -> None:
    with torch.device("meta"):
        sd15 = ControlNetModel()
        sdxl = ControlNetModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            block_out_channels=(320, 640, 1280),
        )
    assert controlnet_places(sd15) == even_places(SD15)
    assert controlnet_places(sdxl) == even_places((1, 1, 1, 2, 2, 2, 4, 4, 4, 4))
    assert [place.reduction for place in controlnet_places(sd15)] == list(SD15)
    counted = {id: FAMILIES[id].control_blocks for id in UNETS}
    assert counted == {"embedded": 9, "sd15": len(SD15), "sd21": len(SD15), "sdxl": len(controlnet_places(sdxl))}


RANGES = ((0.0, 1.0), (0.0, 0.5), (0.25, 0.8), (0.1, 0.7), (0.3, 0.9), (0.0, 0.05), (0.95, 1.0))


@pytest.mark.parametrize("steps", [1, 7, 10, 20])
def test_ranges_are_those_of_diffusers(
    bases: dict[Family, Base], nets: Nets, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pipeline runs with one unit a range, and shows which of them it scales to nothing at which step."""
    base, net = bases["sd15"], nets["sd15"][0]
    networks = MultiControlNetModel([net] * len(RANGES))
    scales: list[list[float]] = []

    def watched(sample: Any, *given: Any, conditioning_scale: list[float], **options: Any) -> Any:
        scales.append(conditioning_scale)
        return net(sample, given[0], options["encoder_hidden_states"], options["controlnet_cond"][0], return_dict=False)

    monkeypatch.setattr(networks, "forward", watched)
    parts: dict[str, Any] = {
        "vae": base.vae,
        "unet": base.network,
        "text_encoder": base.text_encoders[0],
        "tokenizer": base.tokenizers[0],
        "scheduler": create_scheduler("ddim", base.scheduler),
        "controlnet": networks,
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipe: Any = StableDiffusionControlNetPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe(
        "a red ball", image=[Image.fromarray(control_map())] * len(RANGES), width=64, height=64, guidance_scale=1.0,
        num_inference_steps=steps, control_guidance_start=[start for start, _ in RANGES],
        control_guidance_end=[end for _, end in RANGES], output_type="latent",
    )  # fmt: skip
    assert len(scales) == steps
    for step, at_step in enumerate(scales):
        assert [runs_at(step, steps, *limits) for limits in RANGES] == [scale > 0 for scale in at_step], step


Sides = Sequence[Sequence[float]]
"""Factors per block of the unconditional and of the conditional side."""


def written_out(
    base: Base, net: ControlNetModel, request: GenerationRequest, sides: Callable[[int], Sides]
) -> np.ndarray[Any, Any]:
    """Guidance as two plain passes, each with the residuals weighed block by block; `sides` gives both at a step."""
    scheduler = create_scheduler("default", base.scheduler)
    scheduler.set_timesteps(request.num_inference_steps)
    hint = control_tensor(request.units[0], request.width, request.height, 8)
    text = encode_prompts(base, request)
    backbone, generator = create_backbone(base), torch.Generator().manual_seed(request.seed)
    latents = backbone.create_noise(request.width, request.height, generator)
    with torch.no_grad():
        for step, t in enumerate(scheduler.timesteps):
            passes = []
            for row, weights in enumerate(sides(step)):
                words = text.states[row : row + 1]
                added = {name: tensor[row : row + 1] for name, tensor in (text.added or {}).items()}
                down, middle = net(latents, t, words, hint, added_cond_kwargs=added, return_dict=False)
                residuals = [r * weight for r, weight in zip((*down, middle), weights, strict=True)]
                led = base.network(
                    latents,
                    t,
                    words,
                    added_cond_kwargs=added,
                    down_block_additional_residuals=tuple(residuals[:-1]),
                    mid_block_additional_residual=residuals[-1],
                )
                passes.append(led.sample)
            free, conditional = passes
            latents = scheduler.step(free + request.guidance_scale * (conditional - free), t, latents).prev_sample
        return to_pixels(backbone.decode(latents))


def assert_near(base: Base, net: ControlNetModel, request: GenerationRequest, sides: Callable[[int], Sides]) -> None:
    """The pipeline's picture is the formula's, and not the balanced one."""
    expected = written_out(base, net, request, sides)
    picture = generate(base, [net], request)[0]
    assert np.abs(picture.astype(int) - expected).max() <= 1
    scale = request.units[0].conditioning_scale
    balanced = written_out(base, net, request, lambda _: ((scale,) * len(controlnet_places(net)),) * 2)
    assert np.abs(balanced.astype(int) - expected).max() > 5


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize(
    "mode", ["guess_mode", "prompt", "control", "unbalanced", "cfg_resolution", "cfg_resolution_normalised"]
)
def test_a_mode_is_its_formula(bases: dict[Family, Base], nets: Nets, family: Family, mode: str) -> None:
    base, net = bases[family], nets[family][0]
    sizes = [place.reduction for place in controlnet_places(net)]
    blocks = len(sizes)
    soft = [0.7 * 0.825 ** (blocks - 1 - i) for i in range(blocks)]
    conditional = {
        "unbalanced": [0.7] * blocks,
        "cfg_resolution": [0.7 * size for size in sizes],
        "cfg_resolution_normalised": [0.7 * size / max(sizes) for size in sizes],
    }.get(mode, soft)
    unconditional = soft if mode == "prompt" else [0.0] * blocks
    guess = mode == "guess_mode"
    request = request_for(
        unit(conditioning_scale=0.7, control_mode="balanced" if guess else mode), guidance_scale=4, guess_mode=guess
    )
    assert_near(base, net, request, lambda _: (unconditional, conditional))


def test_custom_weights_count_on_their_own_side(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    blocks = len(controlnet_places(net))
    one, other = tuple(np.linspace(0, 1.5, blocks)), tuple(np.linspace(0.6, 0, blocks))
    given = unit(control_mode="custom", block_weights=one, unconditional_block_weights=other)
    assert_near(base, net, request_for(given, guidance_scale=4), lambda _: (other, one))


def test_custom_weights_of_another_network_are_refused(bases: dict[Family, Base], nets: Nets) -> None:
    request = request_for(unit(control_mode="custom", block_weights=(1.0, 0.5)))
    with pytest.raises(InputError, match=r"block_weights has 2 numbers, but this ControlNet has \d+ blocks"):
        generate(bases["sd15"], [nets["sd15"][0]], request)


@pytest.fixture
def pooling(nets: Nets) -> Any:
    """A ControlNet that averages its residuals over the picture, as shuffle's does."""
    network = copy.deepcopy(nets["sd15"][0])
    network.register_to_config(global_pool_conditions=True)
    return network


def test_custom_weights_are_refused_by_a_network_that_averages(bases: dict[Family, Base], pooling: Any) -> None:
    request = request_for(unit(control_mode="custom", block_weights=(1.0,) * 5))
    with pytest.raises(
        InputError, match=r"^Control mode is 'Custom', but the ControlNet of Canny averages .* choose another"
    ):
        generate(bases["sd15"], [pooling], request)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ({}, ""),
        ({"control_mode": "unbalanced"}, ""),
        ({"control_mode": "prompt"}, "My prompt is more important"),
        ({"control_mode": "cfg_resolution"}, "Resolution weights (the paper's)"),
    ],
    ids=str,
)
def test_a_mode_without_effect_on_a_network_that_averages_is_noted(
    bases: dict[Family, Base], pooling: Any, values: dict[str, Any], noted: str
) -> None:
    notes, unbalanced = list[str](), dict[str, Any](control_mode="unbalanced")
    pictures = [
        generate(bases["sd15"], [pooling], request_for(unit(**one), guidance_scale=3), on_note=notes.append)[0]
        for one in (values, unbalanced)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert [noted in note and "Canny" in note for note in notes] == [True] * bool(noted)


def test_a_mode_that_the_family_cannot_do_is_refused(
    bases: dict[Family, Base], nets: Nets, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = dataclasses.replace(FAMILIES["sd15"], title="a distilled one", guidance="distilled")
    monkeypatch.setattr(unet, "FAMILIES", {"sd15": poor})
    for values in ({"guess_mode": True}, {"units": (unit(control_mode="unbalanced"),)}):
        with pytest.raises(InputError, match="which a distilled one does not have"):
            generate(bases["sd15"], nets["sd15"][:1], dataclasses.replace(request_for(unit()), **values))
    generate(bases["sd15"], nets["sd15"][:1], request_for(unit(control_mode="prompt")))


@pytest.mark.slow
def test_strength_follows_its_curve(bases: dict[Family, Base], nets: Nets, count_runs: CountRuns) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    blocks = len(controlnet_places(net))
    given = unit(strength_curve=((0.0, 2.0), (0.5, 1.0), (0.625, 0.0)))
    request = request_for(given, guidance_scale=3, num_inference_steps=8)
    factors = (2.0, 1.75, 1.5, 1.25, 1.0, 0.0, 0.0, 0.0)
    assert_near(base, net, request, lambda step: ((factors[step],) * blocks,) * 2)
    runs = count_runs(net=net.controlnet_mid_block)
    generate(base, [net], request)
    assert runs["net"] == 5


def test_a_mask_steers_where_it_is_white(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, :32] = 255
    black, white = np.zeros_like(half), np.full_like(half, 255)

    def picture(mask: np.ndarray[Any, Any] | None, **values: Any) -> np.ndarray[Any, Any]:
        given = unit(mask=None if mask is None else encode_png(mask), **values)
        return generate(base, [net], request_for(given))[0].astype(int)

    everywhere, free = picture(None), generate(base, [], request_for())[0]
    np.testing.assert_array_equal(picture(white), everywhere)
    np.testing.assert_array_equal(picture(black), free)
    steered = np.abs(picture(half) - free).mean(axis=(0, 2))
    assert steered[:16].mean() > 2 * steered[48:].mean()
    assert (picture(half, mask_feather=12) != picture(half)).any()


def test_masks_have_the_size_of_every_residual(nets: Nets) -> None:
    mask = encode_png(control_map(1, 128, 64))
    prepared = prepare(unit(mask=mask), nets["sd15"][0], 192, 64)
    residuals = prepared.network.residuals(
        torch.zeros(1, 4, 8, 24), torch.tensor(1), Text(torch.zeros(1, 4, 16)), lambda number, residual: residual
    )
    assert [residuals[number].shape[2:] for number in prepared.places] == [m.shape[2:] for m in prepared.masks]


def test_a_norm_preserving_sum_has_the_norm_of_the_strongest(nets: Nets) -> None:
    text = Text(torch.randn(1, 4, 16))
    controls = [(prepare(unit(i), net), 1.0) for i, net in enumerate(nets["sd15"])]
    latents, time = torch.randn(1, 4, 8, 8), torch.tensor(500)
    with torch.no_grad():
        alone = [unit_residuals(*control, latents, time, text) for control in controls]
    plain, kept = sum_residuals(alone, False), sum_residuals(alone, True)
    assert kept and plain
    for block, whole in plain.items():
        scaled = kept[block]
        strongest = max(one[block].norm() for one in alone)
        torch.testing.assert_close(scaled.norm(), strongest, rtol=1e-4, atol=0)
        torch.testing.assert_close(scaled / scaled.norm(), whole / whole.norm(), rtol=1e-4, atol=1e-6)
        assert [norms[block] for norms in place_norms(alone)] == pytest.approx(
            [one[block].norm().item() for one in alone]
        )


def test_every_step_tells_how_much_each_unit_added(bases: dict[Family, Base], nets: Nets) -> None:
    base, (one, other) = bases["sd15"], nets["sd15"]
    steps: list[list[list[float]]] = []
    units = unit(0), unit(1, conditioning_scale=0.5, control_guidance_end=0.5)
    generate(base, [one, other], request_for(*units, guidance_scale=2), on_step=lambda step: steps.append(step.norms()))
    assert [len(norms) for norms in steps] == [2, 2, 1, 1]
    assert all(norm > 0 for norms in steps for unit_norms in norms for norm in unit_norms)


@pytest.mark.slow
@pytest.mark.parametrize(
    "idle",
    [
        {"conditioning_scale": 0},
        {"control_guidance_end": 0},
        {"control_guidance_start": 1},
        {"strength_curve": ((0, 0), (1, 0))},
    ],
    ids=str,
)
def test_a_unit_without_effect_costs_nothing(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns, idle: dict[str, Any]
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(net=net.controlnet_mid_block, hint=net.controlnet_cond_embedding)
    picture = generate(base, [net], request_for(unit(**idle), guidance_scale=3))[0]
    np.testing.assert_array_equal(picture, generate(base, [], request_for(guidance_scale=3))[0])
    assert not runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "calls", "rows"),
    [
        ({}, 8, 16),
        ({"control_guidance_end": 0.5}, 4, 8),
        ({"control_guidance_start": 0.25, "control_guidance_end": 0.5}, 2, 4),
        ({"control_mode": "control"}, 8, 8),
    ],
    ids=str,
)
def test_networks_run_only_where_they_have_an_effect(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns, values: dict[str, Any], calls: int, rows: int
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(net=net.controlnet_mid_block, hint=net.controlnet_cond_embedding, unet=base.network)
    generate(base, [net], request_for(unit(**values), guidance_scale=3, num_inference_steps=8))
    assert runs == {"net": calls, "net rows": rows, "hint": 1, "hint rows": 1, "unet": 8, "unet rows": 16}


def test_without_guidance_only_the_prompts_side_runs(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns
) -> None:
    base, net = bases["sdxl"], nets["sdxl"][0]
    runs = count_runs(net=net.controlnet_mid_block, unet=base.network)
    generate(base, [net], request_for(unit(), guidance_scale=1, num_inference_steps=4))
    assert runs == {"net": 4, "net rows": 4, "unet": 4, "unet rows": 4}


@pytest.mark.parametrize(
    ("family", "values", "rows"),
    [
        ("sd15", {}, 4),
        ("sd15", {"control_mode": "control"}, 8),
        ("sd15", {"control_mode": "custom", "block_weights": (1.0,) * 5, "unconditional_block_weights": (1.0,) * 5}, 4),
        ("sdxl", {}, 8),
    ],
    ids=str,
)
def test_guidance_between_two_equal_sides_does_not_run(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns, family: Family, values: dict[str, Any], rows: int
) -> None:
    base, net = bases[family], nets[family][0]
    assert family != "sd15" or len(controlnet_places(net)) == 5
    runs = count_runs(unet=base.network)
    generate(base, [net], request_for(unit(**values), prompt="", guidance_scale=5, num_inference_steps=4))
    assert runs["unet rows"] == rows


def test_the_hint_is_encoded_once_for_all_pictures(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(hint=net.controlnet_cond_embedding, text=base.text_encoders[0])
    generate(base, [net], request_for(unit(), num_images=3, guidance_scale=2))
    assert runs["hint"] == 1
    assert runs["text"] == 2


def test_one_network_may_serve_two_units(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    units = (unit(0, conditioning_scale=0.6), unit(1, conditioning_scale=0.9))
    shared = generate(base, [net, net], request_for(*units))[0]
    np.testing.assert_array_equal(shared, generate(base, [net, copy.deepcopy(net)], request_for(*units))[0])
    assert (shared != generate(base, [net], request_for(units[0]))[0]).any()
    assert (shared != generate(base, [net], request_for(units[1]))[0]).any()


def test_knowing_the_hint_leaves_the_network_as_it_was(nets: Nets) -> None:
    net = nets["sd15"][0]
    encoder = net.controlnet_cond_embedding
    knowing = with_encoded_hint(net, torch.rand(1, 8, 8, 8))
    assert net.controlnet_cond_embedding is encoder
    assert knowing.controlnet_cond_embedding is not encoder
    assert knowing.conv_in.weight is net.conv_in.weight


def test_a_network_that_reads_bgr_gets_bgr(nets: Nets) -> None:
    image, sample, text = torch.rand(1, 3, 64, 64), torch.rand(1, 4, 8, 8), torch.rand(1, 16, 16)
    net = copy.deepcopy(nets["sd15"][0])
    net.register_to_config(controlnet_conditioning_channel_order="bgr")
    with torch.no_grad():
        expected = net(sample, 5, text, image).mid_block_res_sample
        known = with_encoded_hint(net, encode_hint(net, image))(sample, 5, text, sample).mid_block_res_sample
    torch.testing.assert_close(known, expected, rtol=0, atol=1e-6)


def test_strength_grows_the_effect(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    free = generate(base, [], request_for())[0].astype(int)
    changes = [
        np.abs(generate(base, [net], request_for(unit(conditioning_scale=scale)))[0] - free).mean()
        for scale in (0.1, 0.3, 1.0)
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_maps_of_labels_keep_their_colours_when_resized() -> None:
    large = encode_png(control_map(3, 128, 128)[:90])
    colours = {tuple(colour) for colour in control_map(3, 128, 128).reshape(-1, 3)}
    for condition, blends in (("segmentation", False), ("openpose", False), ("depth", True)):
        tensor = control_tensor(ControlUnit(condition=condition, control_image=large), 192, 64, 8)
        assert tensor.shape == (1, 3, 64, 192)
        found = {tuple(colour) for colour in (tensor[0] * 255).round().int().permute(1, 2, 0).reshape(-1, 3).tolist()}
        assert (not found <= colours) == blends


def test_lines_stay_bare_when_resized() -> None:
    line = np.zeros((128, 128, 3), np.uint8)
    line[40, 20:110] = 255
    for side in (48, 200):
        tensor = control_tensor(ControlUnit(condition="canny", control_image=encode_png(line)), side, side, 8)
        assert set(tensor.unique().tolist()) == {0, 1}
        assert tensor[0, 0, :, side // 2].sum() == 1


def test_a_map_of_the_pictures_size_is_taken_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    tensor = control_tensor(ControlUnit(condition="canny", control_image=encode_png(pixels)), 128, 64, 8)
    np.testing.assert_array_equal((tensor[0] * 255).round().permute(1, 2, 0).numpy(), pixels)
    assert tensor.dtype == torch.float32
    assert 0 <= float(tensor.min()) < float(tensor.max()) <= 1


@pytest.mark.parametrize("limits", [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_an_empty_range_holds_no_step(limits: tuple[float, float]) -> None:
    """diffusers refuses it."""
    assert not any(active_steps(steps, *limits) for steps in (1, 7, 20))


@pytest.mark.parametrize(
    ("steps", "limits", "expected"),
    [
        (4, (0.0, 0.5), (0, 1)),
        (4, (0.0, 0.2), (0,)),
        (4, (0.3, 0.45), (1,)),
        (4, (0.8, 1.0), (3,)),
        (1, (0.0, 0.9), (0,)),
        (150, (0.501, 0.502), (75,)),
        (20, (0.5, 0.5), ()),
    ],
)
def test_a_range_between_two_steps_runs_the_nearest(
    steps: int, limits: tuple[float, float], expected: tuple[int, ...]
) -> None:
    assert active_steps(steps, *limits) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({}, ""),
        ({"control_guidance_end": 0.2}, "The range of unit 1, 0 to 0.2, holds none of 4 steps whole; the unit runs at the nearest one, step 1."),
        ({"control_guidance_start": 0.3, "control_guidance_end": 0.45}, "The range of unit 1, 0.3 to 0.45, holds none of 4 steps whole; the unit runs at the nearest one, step 2."),
        ({"control_guidance_start": 0.5, "control_guidance_end": 0.5}, "Unit 1 has no effect: its range begins and ends at 0.5."),
        ({"conditioning_scale": 0}, "Unit 1 has no effect: conditioning_scale is 0."),
        ({"strength_curve": ((0, 0), (1, 0))}, "Unit 1 has no effect: strength_curve is 0 everywhere."),
        ({"depth_curve": ((0, 0), (1, 0))}, "Unit 1 has no effect: depth_curve is 0 everywhere."),
        ({"strength_curve": ((0, 1), (0.4, 0)), "control_guidance_start": 0.5}, "Unit 1 has no effect: strength_curve is 0 at each of its 2 steps."),
    ],
)  # fmt: skip
def test_a_unit_acts_or_a_note_says_that_it_does_not(
    bases: dict[Family, Base], nets: Nets, values: dict[str, Any], note: str
) -> None:
    notes: list[str] = []
    picture = generate(bases["sd15"], nets["sd15"][:1], request_for(unit(**values)), on_note=notes.append)[0]
    free = generate(bases["sd15"], [], request_for())[0]
    assert notes == [note] * bool(note)
    assert bool((picture != free).any()) == ("no effect" not in note)


def test_a_range_is_one_of_the_steps_that_strength_leaves(bases: dict[Family, Base], nets: Nets) -> None:
    photo = encode_png(control_map(3))
    request = request_for(unit(control_guidance_end=0.3), initial_image=photo, strength=0.5)
    notes: list[str] = []
    generate(bases["sd15"], nets["sd15"][:1], request, on_note=notes.append)
    assert "holds none of 2 steps whole" in notes[0]
