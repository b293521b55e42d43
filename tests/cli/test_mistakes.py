"""Mistakes of every command: one sentence on standard error, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.source import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("annotate cany {photo} --output {dir}/m.png", "There is no condition 'cany'"),
        ("annotate canny {dir}/none.png --output {dir}/m.png", "There is no file"),
        ("annotate canny {photo} --output {dir}/m.png --set low=1", "canny has no parameter 'low'"),
        ("annotate canny {photo} --output {dir}/m.png --set low_threshold=nan", "low_threshold is nan"),
        ("annotate canny {photo} --output {dir}/m.png --size 12", "--size is '12'"),
        ("annotate canny {photo} --output {dir}/m.png --annotator midas", "midas makes no map for canny"),
        ("annotate canny", "required: PHOTO, --output"),
        ("annotate canny {photo} --output {dir}/m.png --data {dir}/m.json", "canny finds neither people nor classes"),
        ("annotate canny {people} --output {dir}/m.png", "Canny reads pictures, not people as data"),
        (
            "annotate openpose {people} --output {dir}/m.png --annotator dwpose",
            "drawn as they are; leave out the annotator",
        ),
        (
            "annotate openpose {people} --output {dir}/m.png --set detect_resolution=64",
            "pose has no parameter 'detect_resol",
        ),
        ("annotate openpose {people} --output {dir}/m.png --set person=2", "person is 2, but 1 person was found"),
        ("annotate openpose {dir}/none.json --output {dir}/m.png", "There is no file none.json"),
        (
            "generate --output {dir} --control openpose={people},threshold=1",
            "--control openpose has no setting 'thresh",
        ),
        ("generate --output {dir} --control canny", "--control is 'canny'"),
        ("generate --output {dir} --control canny={photo},scal=1", "--control canny has no setting 'scal'"),
        ("generate --output {dir} --control canny={photo},scale=3", "conditioning_scale is 3"),
        ("generate --output {dir} --control canny={photo},scale=much", "conditioning_scale is 'much'"),
        ("generate --output {dir} --control canny={photo},weights=1/many", "block_weights is '1/many', but it must be"),
        ("generate --output {dir} --control canny={photo},curve=0-1", "strength_curve is '0-1', but it must be"),
        ("generate --output {dir} --control canny={photo},mask=no.png", "no.png"),
        ("generate --output {dir} --control canny={photo},start=0.9,end=0.1", "must not be after"),
        ("generate --output {dir} --steps 0", "num_inference_steps is 0"),
        ("generate --output {dir} --guidance-scale nan", "guidance_scale is nan"),
        ("generate --output {dir} --seed -1", "seed is -1"),
        ("generate --output {dir} --seed 1.5", "Argument --seed: invalid int value: '1.5'"),
        ("generate --output {dir} --size 50x100", "width is 50"),
        ("generate --output {dir} --scheduler best", "There is no scheduler 'best'"),
        ("generate --output {dir} --recipe {photo}", "holds no recipe"),
        ("generate --output {dir} --recipe {photo} --steps 3", "leave out --steps"),
        ("generate --output {dir} --recipe {photo} --ip-scale 1", "leave out --ip-scale"),
        ("generate --output {dir} --lora :0.5", "--lora is ':0.5', but it must be NAME or NAME:WEIGHT"),
        (
            "generate --output {dir} --lora style:much",
            "The weight of LoRA style is 'much', but it must be a number from",
        ),
        ("generate --output {dir} --lora style:-3", "The weight of LoRA style is -3, but it must be from -2 to 2"),
        (
            "generate --output {dir} --ip-adapter ip_adapter_sd15",
            "there is no reference image; give one with --ip-image",
        ),
        ("generate --output {dir} --ip-image {photo}", "--ip-image is given, but no IP-Adapter"),
        ("generate --output {dir} --ip-scale 0.5", "--ip-scale is given, but no IP-Adapter"),
        ("generate --output {dir} --ip-adapter x --ip-image {photo} --ip-scale 2", "ip_scale is 2, but it must be"),
        ("generate --output {dir} --ip-adapter x --ip-image {dir}/none.png", "There is no file"),
        ("generate --output {dir} --residual-interval 0", "residual_interval is 0"),
        ("generate --output {dir} --preset magic", "Argument --preset: there is no 'magic'"),
        (
            "generate --output {dir} --preset lcm_sd15 --base embedded",
            "lcm_sd15 is made for SD 1.5, but the base is the embedded model",
        ),
        ("models show nothing", "There are no weights 'nothing'"),
        ("world --output {dir} --count 0", "count is 0"),
        ("dance", "there is no 'dance'"),
    ],
)
def test_mistakes_end_in_one_sentence_and_code_2(
    call: Call, photo: Path, people: Path, tmp_path: Path, words: str, sentence: str
) -> None:
    code, out, err = call(*words.format(photo=photo, people=people, dir=tmp_path).split())
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_fault_of_ours() -> None:
    command = [sys.executable, "-m", "cnet_app", "models", "list", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (1, b"")
