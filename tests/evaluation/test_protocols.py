"""Published protocols: rows, deviations in words, and a run with a stand-in for the engine's pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotators.base import Image, create
from annotators.maps.control_map import ControlMap, make_map_at
from annotators.maps.control_map import make_map as make
from annotators.registry import annotator
from annotators.sources.images import load_image
from cnet_app.cli import evaluate as command
from cnet_app.cli import main
from cnet_app.evaluation import paper
from cnet_app.evaluation.pictures import Evaluation
from cnet_app.evaluation.protocols import PROTOCOLS, Protocol, Run, judging_of, protocol, run_protocol
from cnet_app.evaluation.report import Report
from cnet_app.evaluation.statistics import Settings
from cnet_app.evaluation.tables import COMPARABLE
from cnet_app.fidelity.compare import annotate_here
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from models.catalogue.catalog import entry
from models.errors import InputError
from tests.evaluation.conftest import depth_map, write

SMALL = {"base": "embedded", "size": 192, "pictures": 2}


def control(run: Run) -> Callable[[Image, int], ControlMap]:
    judge = create(annotator(run.used.annotator))
    return lambda photo, side: make_map_at(lambda image: make(judge, image), photo, side, side)


def canny_run(tmp_path: Path, **changed: Any) -> Run:
    row = protocol("canny")
    if not (tmp_path / "photos").exists():
        for number in range(3):
            write(tmp_path / "photos" / f"{number}.png", depth_map(number))
    return Run(
        row=row, used=dataclasses.replace(row, **(SMALL | changed)), output=tmp_path / "out", data="three blots",
        photos=tmp_path / "photos", prompts={"1": "a hill"},
    )  # fmt: skip


def score(run: Run, made: list[GenerationRequest]) -> Report:
    """Run a protocol whose pictures are their control images."""

    def generate(request: GenerationRequest) -> Image:
        made.append(request)
        return load_image(request.units[0].control_image)

    plan = Evaluation(
        controls=run.output, methods=(), judging=judging_of(run, annotate_here), settings=Settings(resamples=200)
    )
    return run_protocol(run, plan, generate, control(run))


@pytest.mark.parametrize("row", PROTOCOLS, ids=lambda row: row.id)
def test_a_row_names_what_there_is(row: Protocol) -> None:
    assert row.measure in condition(row.condition).evaluated
    assert row.annotator in condition(row.condition).annotators
    assert entry(row.base).kind == "base"
    assert "sd15" in condition(row.condition).controlnets
    assert (row.num_inference_steps, row.guidance_scale, row.pictures, row.size, row.scheduler) == (
        20,
        7.5,
        4,
        512,
        "unipc",
    )


def test_published_rows_are_those_of_the_paper() -> None:
    assert len(paper.RANKING) == 10 and len(paper.LABELS) == 6 and len(paper.QUALITY) == 18
    ours = [row for row in (*paper.RANKING, *paper.LABELS, *paper.QUALITY) if row.method == "ControlNet"]
    assert [row.value for row in ours] == [4.22, 4.28, 0.35, 15.27, 0.26, 6.31]
    assert all("arXiv" in row.source for row in ours)


def test_controlnet_plus_plus_is_beside_every_protocol_by_its_own_measure() -> None:
    wanted: dict[str, tuple[float, ...]] = {
        "canny": (30.82, 34.65, 37.04),
        "hed": (0.7969, 0.7621, 0.8097),
        "lineart": (0.7054, 0.8399),
        "depth": (39.18, 35.90, 28.32),
        "seg-ade20k": (25.44, 32.55, 43.64),
    }
    assert {row.id for row in PROTOCOLS} == set(wanted)
    for row in PROTOCOLS:
        rows = [one for one in row.references if "2404.07987v4" in one.source]
        assert {one.measure for one in rows} == {row.measure}
        known = {one.method: one.value for one in rows}
        named = [known[name] for name in ("UniControl", "ControlNet v1.1", "ControlNet++") if name in known]
        assert tuple(named) == wanted[row.id]
    gains = [wanted["seg-ade20k"][2] - wanted["seg-ade20k"][1], wanted["lineart"][1] - wanted["lineart"][0]]
    assert gains == pytest.approx([11.1, 0.134], abs=0.011)  # of its abstract


def test_a_run_makes_what_is_missing_and_measures_it(tmp_path: Path) -> None:
    run, made = canny_run(tmp_path), list[GenerationRequest]()
    report = score(run, made)
    assert [request.seed for request in made] == list(range(6))
    assert [request.prompt for request in made] == ["", "", "a hill", "a hill", "", ""]
    kinds = {
        (request.width, request.num_inference_steps, request.guidance_scale, request.scheduler) for request in made
    }
    assert kinds == {(192, 20, 7.5, "unipc")}
    cell = report.cell("embedded", "edge_f1_strict")
    assert (cell.count, cell.pictures) == (3, 6)
    assert report.annotator == "canny"
    (run.output / "images" / "group_1" / "2.png").unlink()
    again = list[GenerationRequest]()
    assert score(run, again).cells == report.cells
    assert [request.seed for request in again] == [5]
    with pytest.raises(InputError, match=r"holds a protocol with other settings \(size\); give another --output"):
        score(canny_run(tmp_path, size=256), made)


def test_every_deviation_is_said(tmp_path: Path) -> None:
    notes = score(canny_run(tmp_path), []).notes
    assert notes[:3] == (
        "The base is embedded, theirs sd15.",
        "The side of a picture is 192 px, theirs 512 px.",
        "The number of pictures of a control image is 2, theirs 4.",
    )
    assert "The data are three blots; theirs MultiGen-20M's evaluation set." in notes
    assert "The detector is canny, theirs Kornia's Canny at 0.1 and 0.2." in notes
    assert any(note.startswith("No negative prompt is used") for note in notes)
    changed = canny_run(tmp_path, scheduler="ddim", num_inference_steps=8)
    assert {"The sampler is ddim, theirs unipc.", "The number of steps is 8, theirs 20."} < set(changed.deviations)
    seg = protocol("seg-ade20k")
    used = dataclasses.replace(seg, annotator="segmentation_embedded")
    run = Run(row=seg, used=used, output=tmp_path, data="x", controls=tmp_path, prompts={})
    assert "The detector is segmentation_embedded, theirs OneFormer (Swin-L)." in run.deviations
    assert any("Mask2Former" in note for note in run.deviations)


def test_wrong_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"There is no protocol 'cany'; did you mean canny\? choose one of: canny, hed"
    ):
        protocol("cany")
    with pytest.raises(InputError, match="needs control images or photos"):
        dataclasses.replace(canny_run(tmp_path), photos=None)
    (tmp_path / "empty").mkdir()
    for folder, message in ((tmp_path / "none", "There is no folder"), (tmp_path / "empty", "holds no pictures")):
        with pytest.raises(InputError, match=message):
            score(dataclasses.replace(canny_run(tmp_path), photos=folder, output=tmp_path / f"out_{folder.name}"), [])


def test_the_smoke_mode_prints_the_paper_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine's pictures are the control images' classes as colours, which the detector reads in its own way."""
    monkeypatch.setattr(command, "SMOKE_PICTURES", 2)
    monkeypatch.setattr(command, "_generator", lambda *_: lambda request: load_image(request.units[0].control_image))
    words = ["evaluate", "protocol", "seg-ade20k", "--smoke", "--output", str(tmp_path / "out"), "--resamples", "200"]
    assert main([*words, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert {cell["measure"] for cell in values["cells"]} == {"mean_iou", "class_iou"}
    markdown = (tmp_path / "out" / "report.md").read_text()
    ours = next(cell for cell in values["cells"] if cell["measure"] == "mean_iou")
    assert f"| ControlNet | IoU | 0.35 ± 0.14 | {ours['value']:.4f} ± {ours['deviation']:.4f} | Zhang" in markdown
    theirs = next(cell for cell in values["cells"] if cell["measure"] == "class_iou")
    assert f"| ControlNet++ | mIoU in percent | 43.64 | {100 * theirs['value']:.2f} | Li et al." in markdown
    assert "- The base is embedded, theirs sd15." in markdown
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(COMPARABLE in text for text in (markdown, page))
    assert len(list((tmp_path / "out" / "images" / "group_0").iterdir())) == 2


@pytest.mark.slow
def test_the_smoke_mode_makes_pictures_with_the_embedded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SMOKE_PICTURES", 2)
    monkeypatch.setattr(command, "SMOKE_SIZE", 192)
    assert main(["evaluate", "protocol", "canny", "--smoke", "--output", str(tmp_path / "out")]) == 0
    values = json.loads((tmp_path / "out" / "report.json").read_text())
    assert values["cells"][0]["value"] > 0.4
