"""Settings that a unit has for itself: a prompt, a curve over depth, and weights over the picture, negative ones too."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from cnet_app.diffusion.backbones import unet
from cnet_app.diffusion.backbones.clip import encode_prompts, prompt_notes
from cnet_app.diffusion.backbones.controls.unet import controlnet_places
from cnet_app.diffusion.control import unit_residuals, weighted_features
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.factors import place_weights
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import Family
from models.errors import InputError
from models.families import FAMILIES
from models.layouts.union import UnionInput
from models.loader import Base
from models.tiny.unets import tiny_adapter, tiny_union
from tests.diffusion.conftest import prepare, request_for, unit

pytestmark = pytest.mark.slow

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
CountRuns = Callable[..., Counter[str]]
Weights = np.ndarray[Any, np.dtype[np.float32]]
LATENTS, TIME = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3)), torch.tensor(500)


def grey(*values: int, side: int = 64) -> bytes:
    """A picture with a column of equal width for each grey."""
    row = np.array(values, np.uint8).repeat(side // len(values))
    return encode_png(np.broadcast_to(row[None, :, None], (side, side, 3)).copy())


def residuals(base: Base, net: Any, given: ControlUnit) -> list[torch.Tensor]:
    """Of a unit, for both sides of guidance."""
    text = encode_prompts(base, request_for(guidance_scale=3))
    with torch.no_grad():
        return list(unit_residuals(prepare(given, net), 1.0, LATENTS, TIME, text).values())


def assert_equal(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def words_read(
    base: Base, net: ControlNetModel, own: ControlUnit, **values: Any
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The encoded prompts that the ControlNet and the base read at every step of a picture."""
    read: tuple[list[torch.Tensor], list[torch.Tensor]] = [], []

    def keep(found: list[torch.Tensor]) -> Callable[..., None]:
        return lambda module, inputs, options: found.append(options["encoder_hidden_states"])

    modules = net, base.network
    hooks = [
        module.register_forward_pre_hook(keep(found), with_kwargs=True)
        for module, found in zip(modules, read, strict=True)
    ]
    try:
        generate(base, [net], request_for(own, **values))
    finally:
        for hook in hooks:
            hook.remove()
    return read


@pytest.mark.parametrize(("mode", "rows"), [("balanced", 2), ("control", 1)])
def test_the_controlnet_alone_reads_the_prompt_of_its_unit(
    bases: dict[Family, Base], nets: Nets, mode: str, rows: int
) -> None:
    base, given = bases["sd15"], {"prompt": "a red ball", "negative_prompt": "green", "guidance_scale": 3}
    own = unit(prompt="a blue cone", control_mode=mode)
    control, whole = words_read(base, nets["sd15"][0], own, **given)
    expected = [
        encode_prompts(base, request_for(**given | {"prompt": words})) for words in ("a blue cone", "a red ball")
    ]
    assert len(control) == len(whole) == 4
    assert all(torch.equal(words, expected[0].states[-rows:]) for words in control)
    assert all(torch.equal(words, expected[1].states) for words in whole)


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
def test_a_prompt_equal_to_the_requests_changes_nothing(bases: dict[Family, Base], nets: Nets, family: Family) -> None:
    base, net = bases[family], nets[family][:1]
    plain, same, other = (
        generate(base, net, request_for(unit(prompt=prompt), guidance_scale=3))[0]
        for prompt in (None, "a red ball", "a blue cone")
    )
    np.testing.assert_array_equal(same, plain)
    assert (other != plain).any()


def test_a_prompt_of_its_own_is_encoded_once(bases: dict[Family, Base], nets: Nets, count_runs: CountRuns) -> None:
    base, (one, other) = bases["sd15"], nets["sd15"]
    runs = count_runs(text=base.text_encoders[0])
    units = unit(0, prompt="a blue cone"), unit(1, prompt="a blue cone")
    generate(base, [one, other], request_for(*units, num_images=2, guidance_scale=2))
    assert runs["text"] == 3  # it, the request's, and the negative one


def test_guidance_runs_where_only_a_units_prompt_differs_from_the_negative_one(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns
) -> None:
    runs = count_runs(unet=bases["sd15"].network)
    for prompt, rows in (("", 4), (None, 4), ("a blue cone", 8)):
        runs.clear()
        generate(bases["sd15"], nets["sd15"][:1], request_for(unit(prompt=prompt), prompt="", guidance_scale=5))
        assert runs["unet rows"] == rows


@pytest.mark.parametrize(("prompts", "runs"), [((None, "a red ball"), 4), (("a", "a"), 4), (("a", None), 8)], ids=str)
def test_maps_of_a_union_share_a_pass_where_their_prompts_are_equal(
    bases: dict[Family, Base], count_runs: CountRuns, prompts: tuple[str | None, ...], runs: int
) -> None:
    union = tiny_union(bases["sdxl"])
    counted = count_runs(net=union.controlnet_mid_block)
    units = (unit(seed, prompt=prompt) for seed, prompt in enumerate(prompts))
    generate(bases["sdxl"], [UnionInput(union, 3), UnionInput(union, 1)], request_for(*units))  # pyright: ignore[reportArgumentType]
    assert counted["net"] == runs


def test_a_prompt_is_refused_where_nothing_reads_it(
    bases: dict[Family, Base], nets: Nets, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(unit(prompt="a blue cone"))
    with pytest.raises(
        InputError, match=r"^prompt is given for a unit of Canny, but its T2I-Adapter reads no text; leave"
    ):
        generate(bases["sd15"], [tiny_adapter(1)], request)
    poor = dataclasses.replace(FAMILIES["sd15"], title="a poor one", control_prompts=False)
    monkeypatch.setattr(unet, "FAMILIES", {"sd15": poor})
    with pytest.raises(
        InputError, match=r"^The prompt of a control unit needs ControlNets that read text, which a poor"
    ):
        generate(bases["sd15"], nets["sd15"][:1], request)
    generate(bases["sd15"], nets["sd15"][:1], request_for(unit()))


def test_a_long_prompt_of_a_unit_is_noted(bases: dict[Family, Base]) -> None:
    (note,) = prompt_notes(bases["sd15"], request_for(unit(), unit(prompt="red ball " * 60)))
    assert note.startswith("prompt of unit 2 is ")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_depth_curve_is_custom_weights_at_its_depths(bases: dict[Family, Base], nets: Nets, family: Family) -> None:
    base, net = bases[family], nets[family][0]
    places = controlnet_places(net)
    weights = tuple(np.linspace(0.25, 1.75, len(places)))
    curve = tuple((place.depth, weight) for place, weight in zip(places, weights, strict=True))
    curved, custom = (
        generate(base, [net], request_for(given, guidance_scale=3))[0]
        for given in (
            unit(depth_curve=curve),
            unit(control_mode="custom", block_weights=weights, unconditional_block_weights=weights),
        )
    )
    np.testing.assert_array_equal(curved, custom)
    assert (curved != generate(base, [net], request_for(unit(), guidance_scale=3))[0]).any()


@pytest.mark.parametrize("mode", ["prompt", "cfg_resolution"])
def test_a_depth_curve_multiplies_the_modes_factors(bases: dict[Family, Base], nets: Nets, mode: str) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    plain = residuals(base, net, unit(control_mode=mode))
    curved = residuals(base, net, unit(control_mode=mode, depth_curve=((0.0, 2.0), (1.0, 0.0))))
    for place, (one, other) in enumerate(zip(plain, curved, strict=True)):
        torch.testing.assert_close(other, one * (2 - 2 * place / (len(plain) - 1)), rtol=1e-5, atol=1e-7)


def test_a_depth_curve_weighs_the_levels_of_an_adapter() -> None:
    adapter = tiny_adapter(1)
    plain, curved = (
        weighted_features(prepare(given, adapter), 1.0, 2) for given in (unit(), unit(depth_curve=((0, 0), (1, 1))))
    )
    for level, (one, other) in enumerate(zip(plain, curved, strict=True)):
        torch.testing.assert_close(other, one * (level / (len(plain) - 1)))


def test_a_depth_curve_is_refused_by_a_network_that_averages(bases: dict[Family, Base], nets: Nets) -> None:
    pooling = copy.deepcopy(nets["sd15"][0])
    pooling.register_to_config(global_pool_conditions=True)
    with pytest.raises(
        InputError, match=r"^depth_curve is given, but the ControlNet of Canny averages .* leave depth_curve"
    ):
        generate(bases["sd15"], [pooling], request_for(unit(depth_curve=((0, 1), (1, 0)))))


def test_a_depth_curve_of_zeros_costs_nothing(bases: dict[Family, Base], nets: Nets, count_runs: CountRuns) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(net=net.controlnet_mid_block, hint=net.controlnet_cond_embedding)
    picture = generate(base, [net], request_for(unit(depth_curve=((0, 0), (1, 0)))))[0]
    np.testing.assert_array_equal(picture, generate(base, [], request_for())[0])
    assert not runs


@pytest.mark.parametrize(("values", "factor"), [((255,), 1), ((128,), 0), ((1,), -1), ((0,), -1)], ids=str)
def test_an_even_weight_map_is_its_weight_times_the_residuals(
    bases: dict[Family, Base], nets: Nets, values: tuple[int, ...], factor: int
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    plain, weighed = (residuals(base, net, given) for given in (unit(), unit(weight_map=grey(*values))))
    assert_equal(weighed, [residual * factor for residual in plain])


def test_a_weight_map_weighs_each_part_by_itself(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    plain, weighed = residuals(base, net, unit()), residuals(base, net, unit(weight_map=grey(1, 255)))
    for one, other in zip(plain, weighed, strict=True):
        half = one.shape[3] // 2
        if half:
            assert torch.equal(other[..., :half], -one[..., :half])
            assert torch.equal(other[..., half:], one[..., half:])
        else:
            assert not other.any()  # one place for the whole picture has the mean weight


def test_a_weight_map_of_black_and_middle_grey_is_a_masks_negative(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    pushed, pulled = (residuals(base, net, given) for given in (unit(weight_map=grey(128, 1)), unit(mask=grey(0, 255))))
    assert_equal(pushed, [-residual for residual in pulled])


def test_a_weight_map_pushes_away_from_an_adapters_map() -> None:
    adapter = tiny_adapter(1)
    plain, pushed = (prepare(given, adapter).features for given in (unit(), unit(weight_map=grey(1))))
    assert_equal(pushed, [-feature for feature in plain])


@pytest.mark.parametrize(
    ("given", "size", "expected"),
    [
        (grey(0, 1, 128, 255, side=8), (8, 8), [-1, -1, -1, -1, 0, 0, 1, 1]),
        (grey(128, 255, side=8), (16, 16), [0] * 8 + [1] * 8),
        (grey(128, 255, 128, 255, side=16), (8, 8), [0, 0, 1, 1, 0, 0, 1, 1]),
        (grey(1, 255, side=64), (16, 64), [-1] * 8 + [1] * 8),
    ],
)
def test_greys_are_weights(given: bytes, size: tuple[int, int], expected: list[float]) -> None:
    found = place_weights(None, 0, given, *size)
    assert found is not None
    assert found.shape == (size[1], size[0])
    assert (found == np.array(expected, np.float32)).all()
