"""Whole evaluations: two methods whose quality is known, kept and gone on with."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from annotators.maps.encoders import encode_segmentation
from cnet_app.evaluation import scores as scores_module
from cnet_app.evaluation.page import worst_and_best
from cnet_app.evaluation.pairing import parse_methods
from cnet_app.evaluation.pictures import Evaluation, evaluate_pictures
from cnet_app.evaluation.report import Report, build_cells, build_contrasts
from cnet_app.evaluation.scores import FILE, Judging, PictureScore
from cnet_app.evaluation.statistics import Settings
from cnet_app.evaluation.tables import to_csv, to_markdown
from cnet_app.fidelity.compare import annotate_here
from cnet_app.fidelity.measures import class_iou, class_overlaps
from cnet_app.registry.conditions import CONDITIONS, condition
from models.errors import InputError
from tests.evaluation.conftest import Folders

QUICK = Settings(resamples=500)


def judging(condition_id: str = "color", annotator: str | None = "color_grid") -> Judging:
    return Judging(row=condition(condition_id), annotator=annotator, parameters={}, annotate=annotate_here)


def evaluation(folders: Folders, **options: Any) -> Evaluation:
    methods = parse_methods([str(folders.good), str(folders.bad)])
    return Evaluation(controls=folders.controls, methods=methods, judging=judging(), settings=QUICK, **options)


@pytest.fixture
def report(folders: Folders) -> Report:
    return evaluate_pictures(evaluation(folders))


def test_every_condition_is_evaluated_by_its_own_measure_first() -> None:
    for row in CONDITIONS:
        assert row.evaluated[:1] == ((row.measure,) if row.measure else ())
        assert set(row.more_measures) <= set(row.evaluated)
    assert condition("canny").evaluated == ("edge_f1", "ms_ssim", "edge_f1_strict")
    assert condition("depth").evaluated == ("rmse", "pearson", "grey_rmse")
    assert condition("segmentation").evaluated == ("mean_iou", "class_iou")
    assert condition("openpose").evaluated == ("pck", "oks")
    with pytest.raises(InputError, match="Shuffle leaves places free"):
        judging("shuffle", None)
    with pytest.raises(InputError, match=r"annotator is 'canny', which makes no maps for Depth; choose one of: midas"):
        judging("depth", "canny")


def test_the_better_method_has_the_better_numbers_and_the_test_says_so(report: Report) -> None:
    assert report.methods == ("good", "bad")
    good, bad = (report.cell(method, "rmse") for method in report.methods)
    assert good.value is not None and bad.value is not None
    assert good.value < bad.value
    for cell in (good, bad):
        assert cell.low is not None and cell.high is not None and cell.value is not None
        assert cell.low <= cell.value <= cell.high
        assert (cell.count, cell.pictures, cell.note) == (6, 6, "")
    contrast = next(row for row in report.contrasts if row.measure == "rmse")
    assert contrast.difference == pytest.approx(good.value - bad.value)
    assert contrast.p == contrast.corrected == 2 / 64  # all ways of exchanging six pairs, of which two are as extreme


def test_a_report_is_written_in_four_forms_that_agree(folders: Folders, tmp_path: Path) -> None:
    output = tmp_path / "out"
    report = evaluate_pictures(evaluation(folders, output=output, prompts={"0000": "<b>a hill</b>"}))
    values = json.loads((output / "report.json").read_text())
    assert values["cells"][0]["value"] == report.cells[0].value
    assert (values["pictures"], values["settings"]["resamples"]) == (12, 500)
    rows = list(csv.DictReader((output / "report.csv").open()))
    assert float(rows[0]["value"]) == report.cells[0].value
    (test, *_) = csv.DictReader((output / "differences.csv").open())
    contrast = report.contrasts[0]
    assert (test["measure"], test["one"], test["other"], test["test"]) == ("rmse", "good", "bad", "permutation")
    assert (float(test["difference"]), float(test["p_holm"])) == (contrast.difference, contrast.corrected)
    markdown, page = (output / "report.md").read_text(), (output / "report.html").read_text()
    assert f"| good | 6 | {report.cells[0].value:.4f} [" in markdown
    assert "| RMSE | good − bad | 6 |" in markdown
    assert page.count('src="data:image/webp;base64,') == 2 * 12  # three worst and three best of two methods, with maps
    assert "&lt;b&gt;a hill&lt;/b&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_gaps_and_other_proportions_are_noted(folders: Folders) -> None:
    for name in ("0001", "0003"):
        (folders.bad / f"{name}.png").unlink()
    wide = Pillow.open(folders.good / "0002.png")
    wide.resize((wide.width * 3 // 2, wide.height)).save(folders.good / "0002.png")
    wide.resize((wide.width * 2, wide.height * 2)).save(folders.good / "0004.png")
    notes = evaluate_pictures(evaluation(folders)).notes
    assert notes == (
        f"2 control images (the first is {folders.controls / '0001.png'}) are without a picture of bad.",
        f"1 picture ({folders.good / '0002.png'}) is of other proportions than the control image, which is cropped to them.",
    )


def test_an_interrupted_evaluation_goes_on_with_what_has_not_changed(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = evaluation(folders, output=tmp_path / "out")
    first = evaluate_pictures(plan)
    file = tmp_path / "out" / FILE
    lines = file.read_text().splitlines(keepends=True)
    assert len(lines) == 13
    file.write_text("".join(lines[:8]) + lines[8][:20])  # killed while it wrote the eighth score
    os.utime(folders.good / "0000.png", ns=(1, 1))  # and a picture was made again
    measured: list[object] = []
    compare = scores_module.compare

    def counted(*arguments: Any) -> Any:
        measured.append(arguments)
        return compare(*arguments)

    monkeypatch.setattr(scores_module, "compare", counted)
    again = evaluate_pictures(plan)
    assert len(measured) == 12 - 7 + 1
    assert again.cells == first.cells
    with pytest.raises(InputError, match="holds scores of another evaluation"):
        evaluate_pictures(replace(plan, judging=judging("tile", None)))
    file.write_text(lines[0] + '{"method": "a", "overlaps": {}}\n')
    with pytest.raises(InputError, match="holds a line that is no score"):
        evaluate_pictures(plan)


def test_what_cannot_be_read_is_named_and_the_rest_is_measured(folders: Folders) -> None:
    (folders.good / "0002.png").write_bytes(b"no picture")
    report = evaluate_pictures(evaluation(folders))
    cell = report.cell("good", "rmse")
    assert (cell.count, cell.note) == (5, "1 could not be measured")
    note = next(note for note in report.notes if "not measured in full" in note)
    assert note.startswith(f"1 picture ({folders.good / '0002.png'}) is not measured in full: ")
    contrast = next(row for row in report.contrasts if row.measure == "rmse")
    assert contrast.count == 5


def test_too_few_pictures_are_said_in_words_and_no_number_is_nan(folders: Folders) -> None:
    for path in sorted(folders.controls.iterdir())[1:]:
        path.unlink()
    report = evaluate_pictures(evaluation(folders))
    cell = report.cell("good", "rmse")
    assert cell.value is not None and (cell.low, cell.high, cell.deviation) == (None, None, None)
    assert cell.note == "not enough pictures (needs 2, has 1)"
    assert report.contrasts[0].p is None
    texts = (to_markdown(report), to_csv(report), json.dumps(report.to_json()))
    assert not any("nan" in text.lower() for text in texts)
    assert "not enough pictures (needs 2, has 1)" in texts[0]


def test_pictures_of_other_sizes_are_measured_at_their_own(folders: Folders) -> None:
    for path in folders.good.iterdir():
        Pillow.open(path).resize((96, 64)).save(path)
    report = evaluate_pictures(evaluation(folders))
    assert report.cell("good", "rmse").count == 6


def label_scores(method: str, seeds: range) -> tuple[PictureScore, ...]:
    found: list[PictureScore] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        wanted = encode_segmentation(rng.integers(0, 4, (8, 8)))
        got = encode_segmentation(rng.integers(0, 4, (8, 8)))
        overlaps = {f"{colour:06x}": pair for colour, pair in class_overlaps(wanted, got).items()}
        values = {"class_iou": class_iou(wanted, got)}
        name = str(seed % 10)
        found.append(PictureScore(method=method, name=name, picture=name, stamp="", values=values, overlaps=overlaps))
    return tuple(found)


def test_classes_are_counted_over_the_whole_set() -> None:
    scores = label_scores("a", range(5)) + label_scores("b", range(10, 15))
    cell = build_cells(scores, ["class_iou"], QUICK)[0]
    totals = np.array([list(dict(sorted(score.overlaps.items())).values()) for score in scores[:5]]).sum(axis=0)
    assert cell.value == pytest.approx((totals[:, 0] / totals[:, 1]).mean())
    (contrast,) = build_contrasts(scores, ["class_iou"], replace(QUICK, test="wilcoxon"))
    assert (contrast.test, contrast.count) == ("permutation", 5)
    assert contrast.p is not None and contrast.p > 0.05


def test_several_pictures_of_a_control_image_count_as_one() -> None:
    scores = tuple(
        PictureScore(method="a", name=name, picture=str(number), stamp="", values={"rmse": value})
        for number, (name, value) in enumerate([("x", 0.1), ("x", 0.3), ("y", 0.6)])
    )
    cell = build_cells(scores, ["rmse"], QUICK)[0]
    assert cell.value == pytest.approx(0.4)
    assert (cell.count, cell.pictures) == (2, 3)


def test_worst_and_best_are_apart(report: Report) -> None:
    worst, best = worst_and_best(report, "good")
    assert len(worst) == len(best) == 3
    values = [score.values["rmse"] or 0 for score in (*best, *reversed(worst))]
    assert values == sorted(values)
    assert not {score.name for score in worst} & {score.name for score in best}
