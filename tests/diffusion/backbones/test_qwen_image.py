"""Qwen-Image equals diffusers' pipelines where these can do the same, and does what they cannot."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    QwenImageControlNetInpaintPipeline,
    QwenImageControlNetPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImageMultiControlNetModel,
    QwenImagePipeline,
)
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.tokens import (
    BlockRange,
    place_number,
    residuals_by_block,
    spread,
    to_latents,
    to_tokens,
)
from cnet_app.diffusion.backbones.transformer import words_of
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import Step, generate
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.errors import CancelledError, InputError
from models.families import FAMILIES
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.qwen_image import tiny_qwen_image_controlnet, tiny_qwen_image_union
from tests.diffusion.backbones.latents import (
    CACHE,
    assert_equal,
    diffusers_latents,
    last_preview,
    latents_of,
    preview_of,
    wide_unit,
)
from tests.diffusion.conftest import control_map, request_for, unit

PHOTO = control_map(7, 96, 64)
HALF = np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2)
WHITE = np.full((64, 96, 3), 255, np.uint8)


@pytest.fixture(scope="module")
def base() -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    made = tiny_base("qwen_image")
    for network in made.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(made, dtype=torch.float64)


@pytest.fixture(scope="module")
def net() -> Any:
    return tiny_qwen_image_controlnet(seed=1).double()


@pytest.fixture(scope="module")
def masked_net() -> Any:
    return tiny_qwen_image_controlnet(seed=2, masked=True).double()


@pytest.fixture(scope="module")
def union() -> Any:
    return tiny_qwen_image_union(seed=3).double()


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square."""
    plain = {"width": 96, "height": 64, "num_inference_steps": 2, "guidance_scale": 4.0}
    return request_for(*units, **plain | values)


def theirs(kind: Any, base: Base, request: GenerationRequest, net: Any = None, **options: Any) -> Tensor:
    """Latents of one of diffusers' pipelines, (1, C, h, w)."""
    guided = {"true_cfg_scale": request.guidance_scale, "negative_prompt": request.negative_prompt}
    tokens = diffusers_latents(kind, base, request, net, **guided, **options)
    return to_latents(tokens, request.height // 8, request.width // 8)


def picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


GUIDANCE = pytest.mark.parametrize("guidance_scale", [1.0, 4.0])


@GUIDANCE
def test_pictures_from_text(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, negative_prompt="a much longer negative prompt than the prompt is")
    assert_equal(latents_of(base, [], request), theirs(QwenImagePipeline, base, request))


def test_pixels_are_those_of_the_pipeline(base: Base) -> None:
    latents = theirs(QwenImagePipeline, base, wide())
    mean, deviation = (
        torch.tensor(base.vae.config[name])[None, :, None, None, None] for name in ("latents_mean", "latents_std")
    )
    expected = base.vae.decode((latents[:, :, None] * deviation + mean).double()).sample[:, :, 0]
    assert_equal(create_backbone(base).decode(latents), expected)


@GUIDANCE
def test_pictures_from_pictures(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, initial_image=encode_png(PHOTO), strength=0.5, num_inference_steps=4)
    expected = theirs(QwenImageImg2ImgPipeline, base, request, image=picture(PHOTO), strength=0.5)
    assert_equal(latents_of(base, [], request), expected)


def test_a_part_of_a_picture(base: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF), strength=0.5, num_inference_steps=4)
    expected = theirs(
        QwenImageInpaintPipeline, base, request, image=picture(PHOTO), mask_image=picture(HALF), strength=0.5
    )
    assert_equal(latents_of(base, [], request), expected)
    made = generate(base, [], request, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    assert (made[:, 48:] != PHOTO[:, 48:]).any()


@GUIDANCE
def test_control(base: Base, net: Any, guidance_scale: float) -> None:
    request = wide(wide_unit(conditioning_scale=0.75), guidance_scale=guidance_scale, negative_prompt="green")
    found = latents_of(base, [net], request)
    image = picture(request.units[0].pixels)
    expected = theirs(
        QwenImageControlNetPipeline, base, request, net, control_image=image, controlnet_conditioning_scale=0.75
    )
    assert_equal(found, expected)
    assert (found - latents_of(base, [], replace(request, units=()))).abs().max() > 0.05


def test_control_in_a_part_of_the_steps(base: Base, net: Any) -> None:
    request = wide(wide_unit(control_guidance_start=0.25, control_guidance_end=0.75), num_inference_steps=4)
    expected = theirs(
        QwenImageControlNetPipeline, base, request, net, control_image=picture(request.units[0].pixels),
        controlnet_conditioning_scale=1.0, control_guidance_start=0.25, control_guidance_end=0.75,
    )  # fmt: skip
    assert_equal(latents_of(base, [net], request), expected)


def test_two_units(base: Base, net: Any) -> None:
    request = wide(wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.25))
    expected = theirs(
        QwenImageControlNetPipeline, base, request, QwenImageMultiControlNetModel([net]),
        control_image=[picture(given.pixels) for given in request.units], controlnet_conditioning_scale=[0.5, 0.25],
    )  # fmt: skip
    assert_equal(latents_of(base, [net, net], request), expected)


def test_units_of_different_networks_add(base: Base, net: Any) -> None:
    other = tiny_qwen_image_controlnet(seed=4, num_layers=3).double()
    units = wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.4)
    norms: list[list[list[float]]] = []
    request = wide(*units)
    together = latents_of(base, [net, other], request, on_step=lambda step: norms.append(step.norms()))
    one, two = (residuals_of(base, network, given) for network, given in zip((net, other), units, strict=True))
    assert [len(norm) for norm in norms[0]] == [len(one.keys() | two.keys())] * 2
    swapped = latents_of(base, [other, net], replace(request, units=units[::-1]))
    torch.testing.assert_close(together, swapped, rtol=1e-4, atol=1e-4)
    assert (together - latents_of(base, [net], replace(request, units=units[:1]))).abs().max() > 0.01
    assert latents_of(base, [net, other], replace(request, norm_preserving=True)).isfinite().all()


@pytest.mark.parametrize(("mask", "known"), [(WHITE, False), (HALF, True)], ids=["all", "half"])
def test_a_controlnet_for_inpainting(base: Base, masked_net: Any, mask: Any, known: bool) -> None:
    """diffusers' pipeline does not put the known part back, so that latents are compared where all is new."""
    given = unit(condition="inpaint", control_image=encode_png(PHOTO), conditioning_scale=0.8)
    request = wide(given, initial_image=encode_png(PHOTO), inpaint_mask=encode_png(mask))
    generator = torch.Generator().manual_seed(request.seed)
    torch.randn(1, 16, 8, 12, generator=generator, dtype=torch.float64)  # sampling the initial picture's latents
    noise = torch.randn(1, 16, 8, 12, generator=generator)
    seen: list[Tensor] = []
    hook = masked_net.controlnet_x_embedder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    expected = theirs(
        QwenImageControlNetInpaintPipeline, base, request, masked_net, control_image=picture(PHOTO), control_mask=picture(mask),
        controlnet_conditioning_scale=0.8, latents=to_tokens(noise),
    )  # fmt: skip
    read = seen.pop()
    found = latents_of(base, [masked_net], request)
    hook.remove()
    assert_equal(seen[-1], read)
    if known:
        made = generate(base, [masked_net], request, cache=CACHE)[0]
        np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    else:
        assert_equal(found, expected)


def test_strength_0_is_the_base_alone(base: Base, net: Any) -> None:
    plain = latents_of(base, [], wide())
    assert torch.equal(latents_of(base, [net], wide(wide_unit(conditioning_scale=0))), plain)
    silent = wide_unit(control_mode="custom", block_weights=(0.0,) * 2, unconditional_block_weights=(0.0,) * 2)
    assert torch.equal(latents_of(base, [net], wide(silent)), plain)
    black = wide_unit(mask=encode_png(np.zeros_like(HALF)))
    assert torch.equal(latents_of(base, [net], wide(black)), plain)


def test_half_a_range_halves_the_runs(base: Base, net: Any, count_runs: Callable[..., Any]) -> None:
    runs = count_runs(net=net.img_in, base=base.network.img_in)
    latents_of(base, [net], wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
    assert (runs["base"], runs["net"]) == (8, 2)


def residuals_of(base: Base, net: Any, given: ControlUnit, strength: float = 1.0, **values: Any) -> dict[int, Tensor]:
    """Of one unit at one step, with guidance."""
    request = wide(given, **{"negative_prompt": "some longer words, in order to be longer"} | values)
    backbone = create_backbone(base)
    with torch.no_grad():
        control: Any = backbone.prepare_control(given, net, request, CACHE)
        own = control.steering.prompt
        text = backbone.encode_texts(request, [control], CACHE, 1, own)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
        found = unit_residuals(control, strength, backbone.pack(latents, text), torch.tensor(700.0), text)
    return dict(found)


def test_residuals_are_linear_in_strength(base: Base, net: Any, count_runs: Callable[..., Any]) -> None:
    whole, half = (residuals_of(base, net, wide_unit(), strength) for strength in (1.0, 0.5))
    for number, residual in whole.items():
        torch.testing.assert_close(residual, 2 * half[number])
    runs = count_runs(net=net.img_in)
    curved = wide_unit(strength_curve=((0.0, 1.0), (0.5, 1.0), (0.75, 0.2)))
    latents_of(base, [net], wide(curved, num_inference_steps=4, residual_interval=4))
    assert runs["net"] == 1


def test_a_mask_leaves_the_rest_of_the_picture_alone(base: Base, net: Any) -> None:
    whole = residuals_of(base, net, wide_unit())
    masked = residuals_of(base, net, wide_unit(mask=encode_png(HALF)))
    for number, residual in masked.items():
        assert residual.shape[1] == 24  # tokens of 16 px in a picture of 96 x 64
        grid, unmasked = (tensor.unflatten(1, (4, 6)) for tensor in (residual, whole[number]))
        assert not grid[:, :, :3].any()
        assert torch.equal(grid[:, :, 3:], unmasked[:, :, 3:])
    white = residuals_of(base, net, wide_unit(mask=encode_png(WHITE)))
    assert all(torch.equal(residual, whole[number]) for number, residual in white.items())


def test_control_of_one_side_of_guidance(base: Base, net: Any, count_runs: Callable[..., Any]) -> None:
    runs = count_runs(net=net.img_in)
    both = residuals_of(base, net, wide_unit())
    one = residuals_of(base, net, wide_unit(control_mode="unbalanced"))
    assert runs["net"] == 2
    assert one.keys() == both.keys()
    for number, residual in one.items():
        assert not residual[0].any()
        assert torch.equal(residual[1], both[number][1])
        assert torch.equal(both[number][0], both[number][1])
    soft = residuals_of(base, net, wide_unit(control_mode="prompt"))
    assert not torch.equal(soft[min(soft)], both[min(both)])
    deep = residuals_of(base, net, wide_unit(depth_curve=((0.0, 0.0), (0.5, 0.0), (0.6, 1.0))))
    assert [bool(residual.any()) for _, residual in sorted(deep.items())] == [False, True]


def test_a_unit_may_have_a_prompt_of_its_own(base: Base, net: Any) -> None:
    own = wide_unit(prompt="a blue box")
    of_own, of_request = residuals_of(base, net, own), residuals_of(base, net, wide_unit(), prompt="a blue box")
    assert all(torch.equal(residual, of_request[number]) for number, residual in of_own.items())
    assert not torch.equal(latents_of(base, [net], wide(own)), latents_of(base, [net], wide(wide_unit())))


def test_residuals_are_spread_over_the_blocks() -> None:
    assert [(run.first, run.count) for run in spread(5, 60)] == [(first, 12) for first in range(0, 60, 12)]
    assert [(run.first, run.count) for run in spread(3, 4)] == [(0, 2), (2, 2)]  # as the library: the third is left out
    assert [(run.first, run.count) for run in spread(4, 10)][-1] == (9, 1)
    one, number = torch.ones(2, 1, 1), partial(place_number, blocks=4)
    assert residuals_by_block({}, 4) is None
    added = residuals_by_block({number(BlockRange(0, 1)): one, number(BlockRange(2, 2)): 2 * one}, 4, slice(1, 2))
    assert added is not None
    assert [float(tensor) for tensor in added] == [1, 0, 2, 2]


def test_tokens_are_the_pipelines() -> None:
    latents = torch.randn(1, 16, 8, 12)
    packed: Any = QwenImagePipeline._pack_latents(latents[:, None], 1, 16, 8, 12)
    assert torch.equal(to_tokens(latents), packed)
    assert torch.equal(to_latents(packed, 8, 12), latents)


def context_of(base: Base, pixels: Any, keep: Any = None, known: Any = None) -> Tensor:
    """What the authors' pipeline makes of a map, a mask that is 1 where the picture stays, and the known part."""
    mean, deviation = (
        torch.tensor(base.vae.config[name])[None, :, None, None, None] for name in ("latents_mean", "latents_std")
    )

    def encoded(image: Tensor) -> Tensor:
        return ((base.vae.encode(image[:, :, None]).latent_dist.mode() - mean) / deviation)[:, :, 0]

    control = encoded(torch.tensor(pixels).permute(2, 0, 1)[None].double() / 127.5 - 1)
    parts = [control, torch.zeros_like(control[:, :1]), torch.zeros_like(control)]
    if keep is not None:
        image = (torch.tensor(known).permute(2, 0, 1)[None].double() / 127.5 - 1) * keep
        parts[1:] = [torch.nn.functional.interpolate(keep, control.shape[-2:]), encoded(image)]
    packed: Any = QwenImagePipeline._pack_latents(torch.cat(parts, 1)[:, None], 1, 33, *control.shape[-2:])
    return packed


def authors_reference(
    base: Base, net: Any, words: Tensor, latents: Tensor, timestep: Tensor, context: Tensor, scale: float
) -> Tensor:
    """The authors' forward of one side, written out: tokens of the velocity."""
    transformer: Any = base.network
    picture = transformer.img_in(to_tokens(latents.double()))
    time = transformer.time_text_embed(timestep.double()[None] / 1000, picture)
    caption = transformer.txt_in(transformer.txt_norm(words[None]))
    places = transformer.pos_embed([[(1, 4, 6)]], max_txt_seq_len=len(words), device=picture.device)

    def run(block: Any, tokens: Tensor, caption: Tensor) -> Any:
        return block(tokens, caption, None, time, places)

    control, carried, hints = net.control_img_in(context), caption, []
    for number, block in enumerate(net.control_blocks):
        control = block.before_proj(control) + picture if number == 0 else control
        carried, control = run(block, control, carried)
        hints.append(block.after_proj(control))
    for number, block in enumerate(transformer.transformer_blocks):
        caption, picture = run(block, picture, caption)
        if number in (0, 2):
            picture = picture + hints[number // 2] * scale
    return transformer.proj_out(transformer.norm_out(picture, time))


@GUIDANCE
def test_the_union_of_videox_fun(base: Base, union: Any, guidance_scale: float) -> None:
    given = wide_unit(conditioning_scale=0.8)
    request = wide(given, guidance_scale=guidance_scale, negative_prompt="green, and some more words")
    with torch.no_grad():
        text = create_backbone(base).encode_texts(request, [], CACHE, 1)[0]
        context = context_of(base, given.pixels)
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(request.seed))
        scheduler: Any = FlowMatchEulerDiscreteScheduler.from_config(base.scheduler.config)
        mu = 24 * (0.9 - 0.5) / (8192 - 256) + 0.5 - 256 * (0.9 - 0.5) / (8192 - 256)
        scheduler.set_timesteps(2, sigmas=[1.0, 0.5], mu=mu)
        for timestep in scheduler.timesteps:
            sides = [authors_reference(base, union, w, latents, timestep, context, 0.8) for w in words_of(text)]
            positive = sides[-1]
            if len(sides) > 1:
                guided = sides[0] + guidance_scale * (positive - sides[0])
                positive = guided * positive.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True)
            latents = scheduler.step(to_latents(positive, 8, 12), timestep, latents, return_dict=False)[0].float()
    found = latents_of(base, [union], request)
    assert_equal(found, latents)
    assert (found - latents_of(base, [], replace(request, units=()))).abs().max() > 0.05


def test_the_union_reads_the_known_part(base: Base, union: Any) -> None:
    request = wide(wide_unit(), initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF))
    seen: list[Tensor] = []
    hook = union.control_img_in.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made = generate(base, [union], request, cache=CACHE)[0]
    hook.remove()
    keep = 1 - torch.tensor(HALF)[None, None, :, :, 0].double() / 255
    with torch.no_grad():
        assert_equal(seen[-1], context_of(base, request.units[0].pixels, keep, PHOTO))
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])


def test_the_union_obeys_the_same_settings(base: Base, net: Any, union: Any, count_runs: Callable[..., Any]) -> None:
    plain = latents_of(base, [], wide())
    for silent in (wide_unit(conditioning_scale=0), wide_unit(mask=encode_png(np.zeros_like(HALF)))):
        assert torch.equal(latents_of(base, [union], wide(silent)), plain)
    runs = count_runs(net=union.control_img_in)
    latents_of(base, [union], wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
    assert runs["net"] == 4  # both sides of two steps
    both, one = (residuals_of(base, union, wide_unit(control_mode=mode)) for mode in ("balanced", "unbalanced"))
    masked, half = (
        residuals_of(base, union, wide_unit(mask=encode_png(HALF))),
        residuals_of(base, union, wide_unit(), 0.5),
    )
    assert set(both) == {place_number(BlockRange(block, 1), 4) for block in (0, 2)}
    for number, residual in both.items():
        assert not one[number][0].any()
        assert torch.equal(one[number][1], residual[1])
        assert not torch.equal(residual[0], residual[1])
        torch.testing.assert_close(2 * half[number], residual)
        assert not masked[number].unflatten(1, (4, 6))[:, :, :3].any()
    request = wide(wide_unit(3, conditioning_scale=0.4), wide_unit(4, condition="depth", conditioning_scale=0.5))
    together = latents_of(base, [net, union], request)
    swapped = latents_of(base, [union, net], replace(request, units=request.units[::-1]))
    torch.testing.assert_close(together, swapped, rtol=1e-4, atol=1e-4)
    known = {"initial_image": encode_png(PHOTO), "inpaint_mask": encode_png(HALF)}
    with pytest.raises(InputError, match="Condition inpaint is given to a ControlNet that reads a map; choose"):
        generate(base, [union], wide(wide_unit(condition="inpaint"), **known))
    deeper = tiny_qwen_image_union()
    deeper.register_to_config(control_layers=(0, 12))
    with pytest.raises(InputError, match="was made for a base of more than 12 blocks, but this one has 4"):
        generate(base, [deeper], wide(wide_unit()))


@pytest.mark.parametrize("mode", ["cfg_resolution", "cfg_resolution_normalised"])
def test_weights_by_resolution_are_refused(base: Base, net: Any, mode: str) -> None:
    with pytest.raises(InputError, match="needs weights by resolution, which Qwen-Image does not have"):
        generate(base, [net], wide(wide_unit(control_mode=mode)))


def test_what_a_network_cannot_do_is_refused(base: Base, net: Any, masked_net: Any) -> None:
    with pytest.raises(
        InputError, match="^control_form diffusers needs ControlNets with two forms, which Qwen-Image does"
    ):
        generate(base, [net], wide(wide_unit(control_form="diffusers")))
    known = {"initial_image": encode_png(PHOTO), "inpaint_mask": encode_png(HALF)}
    with pytest.raises(InputError, match="Condition inpaint is given to a ControlNet that reads a map; choose"):
        generate(base, [net], wide(wide_unit(condition="inpaint"), **known))
    with pytest.raises(
        InputError, match="Condition canny is given to a ControlNet for inpainting, which reads a masked"
    ):
        generate(base, [masked_net], wide(wide_unit(), **known))
    with pytest.raises(InputError, match="inpaint needs an inpaint_mask"):
        generate(base, [masked_net], wide(wide_unit(condition="inpaint")))
    larger = tiny_qwen_image_controlnet()
    larger.register_to_config(num_attention_heads=4)
    with pytest.raises(InputError, match="was made for a base of 64 channels, but this one has 32"):
        generate(base, [larger], wide(wide_unit()))
    adapter: Any = object()
    with pytest.raises(InputError, match="An image prompt needs image prompts"):
        create_backbone(base).use_image_prompt(adapter, 1.0)


def test_bases_that_make_layers_are_refused() -> None:
    base = tiny_base("qwen_image")
    base.network.register_to_config(use_additional_t_cond=True)
    with pytest.raises(
        InputError, match="^tiny_qwen_image makes pictures in layers, which this app does not do; choose a"
    ):
        generate(base, [], wide())


def test_half_precision_comes_close(net: Any, union: Any, masked_net: Any) -> None:
    units = (
        wide_unit(3, conditioning_scale=0.5, mask=encode_png(HALF)),
        wide_unit(4, condition="depth", conditioning_scale=0.5),
    )
    inpaint = unit(condition="inpaint", control_image=encode_png(PHOTO), conditioning_scale=0.5)
    known = {"initial_image": encode_png(PHOTO), "inpaint_mask": encode_png(HALF), "strength": 0.5}
    made: list[Tensor] = []
    for dtype in (torch.float32, torch.bfloat16):
        single = tiny_base("qwen_image")
        nets = [torch.nn.Module.to(copy.deepcopy(one), dtype) for one in (net, union, masked_net)]
        for network in single.networks:
            torch.nn.Module.to(network, dtype)
        request = wide(*units, inpaint, num_inference_steps=4, **known)
        made.append(latents_of(replace(single, dtype=dtype), nets, request))
    assert (made[0] - made[1]).abs().max() < 0.1 * made[0].abs().max()


def test_a_job_stops_within_a_step(base: Base, net: Any) -> None:
    steps: list[Step] = []
    with pytest.raises(CancelledError):
        generate(base, [net], wide(wide_unit()), on_step=steps.append, cancelled=lambda: len(steps) > 0)
    assert len(steps) == 1


def test_a_preview_shows_what_is_predicted(base: Base) -> None:
    # The last step ends at noise 0, so that it points at what is made.
    end = preview_of(base, latents_of(base, [], wide()))
    assert np.abs(last_preview(base, wide()).astype(int) - end).max() <= 1


@pytest.mark.parametrize("scheduler", ["euler", "heun", "unipc", "dpmpp_2m"])
def test_every_sampler_of_flow_matching(base: Base, net: Any, scheduler: str) -> None:
    for given in (
        {},
        {
            "initial_image": encode_png(PHOTO),
            "strength": 0.5,
            "inpaint_mask": encode_png(HALF),
            "num_inference_steps": 4,
        },
    ):
        assert latents_of(base, [net], wide(wide_unit(), scheduler=scheduler, **given)).isfinite().all()


def test_a_single_step_is_refused(base: Base) -> None:
    """diffusers' scheduler divides 0 by 0 there, since the published one ends at a noise level of 0.02."""
    with pytest.raises(InputError, match="num_inference_steps is 1, but this base model's noise levels are stretched"):
        generate(base, [], wide(num_inference_steps=1))


def test_prompts_change_and_have_parts(base: Base, net: Any) -> None:
    first, second = (latents_of(base, [], wide(prompt=text)) for text in ("a red ball", "a blue box"))
    changing = latents_of(base, [], wide(prompt="[a red ball:a blue box:1]"))
    assert not torch.equal(changing, first)
    assert not torch.equal(changing, second)
    joined = latents_of(base, [net], wide(wide_unit(), prompt="a red ball AND a blue box"))
    assert not torch.equal(joined, latents_of(base, [net], wide(wide_unit(), prompt="a red ball, a blue box")))
    alone = latents_of(base, [], wide(prompt="a red ball AND a blue box :0"))
    assert_equal(alone, first)


def test_notes_on_prompts(base: Base) -> None:
    notes: list[str] = []
    weighed = latents_of(base, [], wide(prompt="a (red:1.3) ball"), on_note=notes.append)
    assert torch.equal(weighed, latents_of(base, [], wide()))
    assert notes == ["prompt gives words weights, which Qwen-Image does not have: they are read as plain words."]
    notes = []
    latents_of(base, [], wide(prompt="a" * 600, negative_prompt="b", guidance_scale=1.0), on_note=notes.append)
    assert any(note.startswith("prompt is ") and "of which 512 are read" in note for note in notes)
    assert "negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it." in notes


def test_the_row_states_what_diffusers_declares(base: Base) -> None:
    facts = FAMILIES["qwen_image"]
    assert (base.vae.config["z_dim"], base.network.config["in_channels"]) == (
        facts.latent_channels,
        4 * facts.latent_channels,
    )
    assert base.vae_scale_factor * 2 == facts.side_multiple
