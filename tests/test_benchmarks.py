"""The benchmarks' own code on miniatures: what is counted, what a gate says, and that the document is written from figures."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import gpu, reuse, training
from benchmarks.experiments.claims import EXPERIMENTS
from benchmarks.experiments.curves import curves
from benchmarks.machine import this_machine
from benchmarks.pipeline import report
from benchmarks.pipeline.arms import Arm, create_arms
from benchmarks.pipeline.counters import counting
from benchmarks.pipeline.jobs import Job, create_request, prepare
from benchmarks.pipeline.measure import Bench, Result, Verdict, psnr
from benchmarks.pipeline.models import Models, control_effect, in_format, miniature
from benchmarks.pipeline.report import Figures, Waits
from benchmarks.wall import Wall, time_pairs
from cnet_app.training.trainable import create_trainable
from models.machine.memory import module_bytes

STEPS = 2
ARMS = {arm.id: arm for arm in create_arms(64, STEPS)}


@pytest.fixture(scope="module")
def models() -> Models:
    return miniature()


@pytest.fixture(scope="module")
def bench(models: Models) -> Bench:
    return Bench(models)


@pytest.fixture(scope="module")
def early_end(bench: Bench) -> Result:
    return bench.measure(ARMS["early_end"], pairs=2)


def test_the_map_of_a_miniature_matters(models: Models) -> None:
    assert control_effect(models) > command.LEAST_EFFECT


@pytest.mark.slow
def test_calls_and_their_batches_are_counted(early_end: Result) -> None:
    for part, ours, reference in (
        ("unet", (2, 4), (2, 4)),
        ("controlnet", (1, 2), (2, 4)),
        ("hint", (1, 1), (2, 4)),
        ("text", (2, 2), (2, 2)),
        ("vae", (1, 1), (1, 1)),
    ):
        assert (early_end.ours[f"{part} calls"], early_end.ours[f"{part} rows"]) == ours, part
        assert (early_end.reference[f"{part} calls"], early_end.reference[f"{part} rows"]) == reference, part


def test_a_result_holds_gates_equality_and_times(early_end: Result) -> None:
    assert early_end.holds
    assert early_end.gates[0] == Verdict("controlnet calls", 0.5, 0.5)
    assert early_end.latent_difference is not None and early_end.latent_difference < 1e-5
    assert early_end.psnr is None
    assert early_end.wall and len(early_end.wall.ours) == len(early_end.wall.reference) == 2


def test_every_flop_belongs_to_a_part_and_attention_is_among_them(models: Models, early_end: Result) -> None:
    for counts in (early_end.ours, early_end.reference):
        parts = sum(counts[f"{part} flops"] for part in ("unet", "controlnet", "text", "vae"))
        outside = counts["flops"] - parts - (counts["hint flops"] if counts is early_end.ours else 0)
        assert 0 <= outside < 0.001 * counts["flops"]  # the decoder's entry
        assert counts["denoising flops"] == counts["flops"] - counts["text flops"] - counts["vae flops"]
    q = torch.zeros(1, 2, 8, 4)
    with counting(models) as counted, torch.inference_mode():
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
    assert counted.counts["flops"] == 2 * (2 * 2 * 8 * 8 * 4)


def test_hooks_are_gone_after_counting(models: Models) -> None:
    with counting(models) as counted:
        pass
    prepare(Job("ours", create_request(64, 1)), models)()
    assert not any(counted.counts.values())
    assert not counted.latents


def test_a_job_that_several_arms_need_runs_once_under_the_counters(bench: Bench, early_end: Result) -> None:
    again = bench.measure(ARMS["early_end"], pairs=0)
    assert again.ours is early_end.ours
    assert again.wall is None


@pytest.mark.slow
@pytest.mark.parametrize("arm", [pytest.param(arm, id=id) for id, arm in ARMS.items()])
def test_gates_hold_on_miniatures(bench: Bench, arm: Arm) -> None:
    result = bench.measure(arm, pairs=0)
    assert result.holds, result.gates
    assert result.against == ("diffusers" if arm.reference.side == "diffusers" else "our first row")
    assert result.psnr is None or 10 < result.psnr < 100


def test_arms_have_ids_of_their_own_and_the_last_gate_can_fail() -> None:
    assert len(ARMS) == len(create_arms(64))
    assert not Verdict("flops", 1.0, 1.001).holds


def test_a_copy_in_another_format_leaves_the_models_as_they_were(models: Models) -> None:
    copied = in_format(models, torch.bfloat16)
    assert {copied.base.network.dtype, copied.base.vae.dtype, copied.controlnet.dtype} == {torch.bfloat16}
    assert {models.base.network.dtype, models.controlnet.dtype} == {torch.float32}


def test_pairs_run_a_b_b_a() -> None:
    order: list[str] = []
    wall = time_pairs(lambda: order.append("a"), lambda: order.append("b"), 3)
    assert "".join(order) == "abbaab"
    assert len(wall.ours) == len(wall.reference) == 3


def wall(**values: Any) -> Wall:
    plain: dict[str, Any] = {
        "ours": (1.0, 2.0, 6.0),
        "reference": (2.0, 2.0, 3.0),
        "load": 2.0,
        "steal": 0.0,
        "cores": 2,
    }
    return Wall(**plain | values)


def test_ratio_is_the_median_of_pairs_within_its_interval() -> None:
    assert wall().ratio == 1
    assert wall().interval == (0.5, 2.0)
    steady = wall(ours=(0.9,) * 7, reference=(1.0,) * 7)
    assert steady.interval == pytest.approx((0.9, 0.9))


@pytest.mark.parametrize(
    ("values", "faults"), [({}, []), ({"load": 2.6}, ["load 2.6 > 2.5"]), ({"steal": 0.06}, ["steal 6% > 5%"])]
)
def test_times_of_a_busy_machine_do_not_count(values: dict[str, float], faults: list[str]) -> None:
    assert wall(**values).faults == faults


def test_psnr_of_known_errors() -> None:
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert psnr([black], [grey]) == pytest.approx(20 * np.log10(5))
    assert psnr([black], [black]) == float("inf")


def result(id: str, **values: Any) -> Result:
    counts = {"unet calls": 8, "unet rows": 16, "controlnet calls": 4, "controlnet rows": 8, "flops": 4_440_000_000_000}
    plain: dict[str, Any] = {
        "id": id,
        "title": f"Title of {id}",
        "note": "",
        "against": "diffusers",
        "ours": counts,
        "reference": counts | {"controlnet calls": 8, "controlnet rows": 16},
        "gates": (Verdict("controlnet calls", 0.5, 0.5),),
        "latent_difference": 2e-6,
        "psnr": None,
        "wall": None,
        "machine": this_machine(),
    }
    return Result(**plain | values)


def test_the_document_shows_what_was_measured() -> None:
    gates = Verdict("flops", 1.0, 1.25), Verdict("denoising flops", 0.875, 0.865)
    failing = result("b", gates=gates, latent_difference=None, psnr=41.26, note="It is so.")
    apart = result("c", latent_difference=0.02)
    waits = Waits({"page": 3.456}, 1.0, this_machine())
    text = report.render(Figures((result("a", wall=wall(steal=0.08)), failing, apart), waits))
    for part in (
        "| Title of a | diffusers | 8x2 | 4x2 / 8x2 | 0 | 0 | 0 | 4.44 | ControlNet calls 0.500 ≤ 0.500 holds | equal, latents 2e-06 apart |",
        "FLOPs 1.250 ≤ 1.000 **fails**; Denoising FLOPs 0.865 ≤ 0.875 holds | PSNR 41.3 dB |",
        "holds | **latents 2e-02 apart** |",
        "Title of b: It is so.",
        "| 2.0 | 2.0 | 1.000 | 0.500 to 2.000 | 3 | 2.0 | 8.0% | no: steal 8% > 5% |",
        "| page | 3.46 |",
        f"torch {torch.__version__.split('+')[0]}",
    ):
        assert part in text


def test_figures_survive_saving_and_newer_ones_replace_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "document.md")
    assert report.load() == Figures()
    figures = Figures((result("a", wall=wall()), result("b")), Waits({"page": 3.4}, 1.0, this_machine()))
    report.save(figures)
    assert report.load() == figures
    assert report.DOCUMENT.read_text(encoding="utf-8") == report.render(figures)
    newer = dataclasses.replace(result("b"), note="newer")
    assert figures.updated(Figures((newer, result("c")))) == Figures(
        (figures.results[0], newer, result("c")), figures.waits
    )


def test_the_document_is_what_its_figures_say() -> None:
    if report.FIGURES.exists():
        assert report.DOCUMENT.read_text(encoding="utf-8") == report.render(report.load())


def test_the_command_prints_and_fails_with_a_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_document(figures: Figures) -> None:
        raise AssertionError("miniatures are no figures")

    failing = result("early_end", gates=(Verdict("flops", 1.0, 1.25),))
    monkeypatch.setattr(report, "save", no_document)
    monkeypatch.setattr(Bench, "measure", lambda bench, arm, pairs: result(arm.id))
    assert command.main(["--tiny", "--only", "early_end"]) == 0
    assert "Title of early_end" in capsys.readouterr().out
    monkeypatch.setattr(Bench, "measure", lambda bench, arm, pairs: failing)
    assert command.main(["--tiny", "--only", "early_end"]) == 1
    assert "does not hold" in capsys.readouterr().err


@pytest.mark.slow
def test_a_step_of_training_is_timed_against_diffusers() -> None:
    setting = training.Setting(64, batch=2, tiny=True)
    found = training.step_ratio(setting, pairs=2, steps=1)
    assert len(found.wall.ours) == len(found.wall.reference) == 2
    assert 0 < found.flops[0] < found.flops[1], "diffusers' step encodes pictures and prompts too"
    text = training.step_text(found, setting)
    assert "A step of batch 2 at 64 px in float32" in text and f"ratio {found.wall.ratio:.3f}" in text


@pytest.mark.slow
def test_control_costs_are_those_of_what_is_trained(models: Models) -> None:
    found = training.cost(models.base, 64, batch=1, pairs=2)
    unet = module_bytes([models.base.network])
    control = module_bytes([create_trainable(models.base, training.create_plan(64, 1)).for_pictures()])
    assert found.plain.network == found.plain.gradients == unet and found.plain.optimizer == 2 * unet
    assert found.control.network == found.control.gradients == control and found.control.optimizer == 2 * control
    assert found.control.base == found.plain.base + unet
    assert found.control.activations > 0 < found.plain.activations
    assert not any(value.requires_grad for value in models.base.network.parameters())
    assert "| plain fine-tuning |" in training.cost_text(found, 64, batch=1)
    assert "times as fast" in training.middle_text(training.middle_ratio(models.base, 64, batch=1, pairs=1))


@pytest.mark.slow
def test_the_command_for_a_gpu_runs_on_miniatures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--tiny", "--speeds", "exact", "--output", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["family"], row["way"]) for row in rows] == [
        (family, way) for family in ("sd15", "sdxl", "z_image") for way in ("diffusers, eager", "ours, exact")
    ]
    assert all(row["psnr"] > 60 for row in rows if row["way"] != gpu.PEER)
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_curves_show_the_runs_of_an_arm_and_their_mean() -> None:
    experiment = EXPERIMENTS[0]
    looks = [[0, 0.1], [10, 0.4], [20, 0.9]]
    drawn = curves(
        experiment, {"zero": [{"looks": looks}, {"looks": looks}], "lite": [{"looks": looks}], "gaussian": []}
    )
    root = ElementTree.fromstring(drawn)
    lines = [node for node in root if node.tag.endswith("polyline")]
    assert len(lines) == 2 + 2  # a single run is its mean
    texts = [node.text for node in root if node.tag.endswith("text")]
    assert texts[-2:] == [experiment.arms["zero"].title, experiment.arms["lite"].title]
    first, *_, last = (tuple(map(float, point.split(","))) for point in lines[0].attrib["points"].split())
    assert first[0] < last[0] and first[1] > last[1]


@pytest.mark.slow
def test_reused_steps_are_counted_and_compared() -> None:
    exact, near = reuse.measure(1, 8, (0.0, 0.5), size=64)
    assert (exact.computed, exact.psnr) == (1, math.inf)
    assert near.computed < 1 and 10 < near.psnr < math.inf
    text = reuse.table([(8, 0.0, exact), (8, 0.5, near)])
    assert "| 8 | 0 | 100% |  |" in text and f"{near.psnr:.1f} dB" in text
