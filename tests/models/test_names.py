"""The hint that names what an unknown name looks like."""

from __future__ import annotations

import pytest

from annotators.registry import ANNOTATORS, annotator
from cnet_app.cli import main
from cnet_app.cli.arguments.texts import parse_control
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import mode
from cnet_app.registry.presets import preset
from cnet_app.registry.samplers import sampler
from models.errors import InputError
from models.names import did_you_mean

IDS = [kind.id for kind in ANNOTATORS]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cany", "canny"),
        ("xdog", "scribble_xdog"),
        ("Scribble-XDoG", "scribble_xdog"),
        ("depth anything v2", "depth_anything_v2"),
        ("openpos", "openpose"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_name_gets_those_that_look_like_it_and_no_others(name: str, hint: str) -> None:
    found = did_you_mean(name, IDS)
    assert found.startswith(f" (did you mean {hint}") if hint else found == ""
    assert found.count(" or ") <= 1


def test_the_nearest_name_comes_first() -> None:
    assert did_you_mean("cann", ["canny_small", "canny", "scan"]) == " (did you mean canny or scan?)"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: annotator("xdog"), "no annotator 'xdog' (did you mean scribble_xdog?); `python -m annotators --list`"),
        (
            lambda: annotator("xdog", condition("scribble").annotators),
            "no annotator 'xdog' (did you mean scribble_xdog?); choose one of: scribble_hed, scribble_pidinet, scribble_xdog, threshold.",
        ),
        (
            lambda: parse_control("scribble=photo.jpg,annotator=xdog"),
            "'xdog' (did you mean scribble_xdog?); choose one of: scribble_hed, scribble_pidinet, scribble_xdog, threshold.",
        ),
        (
            lambda: parse_control("canny=photo.jpg,low_treshold=3"),
            "(did you mean low_threshold?); its settings are: annotator",
        ),
        (lambda: condition("cany"), "'cany' (did you mean canny?); choose one of: canny, softedge"),
        (lambda: mode("balance"), "'balance' (did you mean balanced or unbalanced?), but it must be one of: balanced"),
        (lambda: sampler("dim"), "no scheduler 'dim' (did you mean ddim"),
        (lambda: preset("lcm", "sd15"), "no preset 'lcm' (did you mean lcm_sd15 or lcm_sdxl?); for SD 1.5 there are"),
    ],
)
def test_every_registry_names_the_nearest(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(InputError) as raised:
        make()
    assert sentence in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["anotate"], "Argument COMMAND: there is no 'anotate' (did you mean annotate?); choose one of: annotate, "),
        (["models", "lst"], "Argument ACTION: there is no 'lst' (did you mean list?); choose one of: list, show, "),
        (["models", "list", "--family", "sd-15"], "there is no 'sd-15' (did you mean sd15"),
        (["models", "show", "sd51"], "There are no weights 'sd51' (did you mean sd15"),
    ],
)
def test_commands_and_their_choices_do_too(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert sentence in capsys.readouterr().err
