"""`models download`: nothing is transferred before what, how large and under which licence are known and agreed to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from cnet_app.registry.conditions import CONDITIONS
from models.catalogue.catalog import CATALOG, entry
from models.catalogue.missing import describe_download, missing_rows, total_words
from models.catalogue.resolve import missing, resolve
from models.catalogue.row import MB, File
from models.catalogue.weights import find
from models.downloads.download import remaining_files
from models.loader import save_base
from models.tiny import tiny_base
from tests.cli.conftest import Call
from tests.models.catalogue.test_hub_bases import cut, put
from tests.models.downloads.hub import Hub

WHOLE = save({"weight": np.arange(12, dtype=np.float16)})


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))


def fill(hub: Hub, *ids: str) -> None:
    """The hub has all files of these rows, tiny."""
    for row in map(entry, ids):
        hub.files |= {f"{row.repo}/{file.name}": WHOLE if "safetensors" in file.name else b"{}" for file in row.files}


def transfers(hub: Hub) -> list[str]:
    return [asked for asked in hub.asked if asked.startswith("GET")]


def test_a_first_picture_needs_the_base_its_controlnet_and_a_free_annotator(call: Call, hub: Hub) -> None:
    ids = ["sd15", "control_v11p_sd15_canny"]
    fill(hub, *ids)
    code, out, err = call("models", "download", "--family", "sd15", "--condition", "canny", "--yes", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["models"]] == ids
    assert all(find(id) for id in ids)
    assert "To download into " in err
    assert " (2.85 GB):\n" in err
    assert "Stable Diffusion 1.5 (sd15): " in err
    assert "Licence CreativeML OpenRAIL-M: Any use" in err
    assert "Canny for SD 1.5 (control_v11p_sd15_canny): 2 files, 723 MB" in err


@pytest.mark.parametrize("condition", [row.id for row in CONDITIONS if "sd15" in row.controlnets])
def test_what_a_first_picture_needs_may_be_used_commercially(call: Call, hub: Hub, condition: str) -> None:
    code, _, err = call("models", "download", "--family", "sd15", "--condition", condition)
    assert code == 2
    named = err.split("models download ")[1].split(" --yes`")[0].split()
    assert named[0] == "sd15"
    assert all(entry(id).commercial == "yes" for id in named)
    assert hub.asked == []


def test_without_a_terminal_and_without_yes_it_is_one_sentence(call: Call, hub: Hub) -> None:
    code, out, err = call("models", "download", "taesd", "clip_tokenizer")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("Tiny autoencoder and CLIP's vocabulary must be downloaded first (11.5 MB), and there is no ")
    assert "add --yes, or run `python -m cnet_app models download taesd clip_tokenizer --yes`." in err
    assert hub.asked == []


@pytest.mark.parametrize("text", ["n", "", "no", "yess"])
def test_whatever_is_no_yes_downloads_nothing(call: Call, hub: Hub, answer: Callable[[str], None], text: str) -> None:
    answer(text)
    code, out, err = call("models", "download", "taesd")
    assert (code, out) == (3, "")
    assert "Tiny autoencoder (taesd): 2 files, 10 MB\n    Licence MIT: Any use" in err
    assert err.endswith("Download now? [y/N] Nothing was downloaded; Tiny autoencoder is missing.\n")
    assert hub.asked == []


@pytest.mark.parametrize("text", ["y", "YES"])
def test_a_yes_downloads(call: Call, hub: Hub, answer: Callable[[str], None], text: str) -> None:
    fill(hub, "taesd")
    answer(text)
    code, out, _ = call("models", "download", "taesd")
    assert (code, out) == (0, f"{find('taesd')}\n")


def test_what_is_here_is_not_asked_for_again(call: Call, hub: Hub) -> None:
    fill(hub, "taesd")
    assert call("models", "download", "taesd", "--yes")[0] == 0
    hub.asked.clear()
    assert call("models", "download", "taesd", "embedded") == (0, f"{find('taesd')}\n{find('embedded')}\n", "")
    assert hub.asked == []


def test_rows_that_share_their_files_count_once(call: Call, hub: Hub) -> None:
    unions = [row.id for row in CATALOG if row.repo == "xinsir/controlnet-union-sdxl-1.0"]
    (item,) = describe_download(missing_rows(unions))
    assert len(unions) == 6
    assert len(missing_rows(unions)) == 1
    assert item.size == 2_513_000_000


def test_only_what_is_missing_counts(call: Call, hub: Hub) -> None:
    hub.files = {"madebyollin/taesd/config.json": b"{}"}
    assert call("models", "download", "taesd", "--yes")[0] == 3
    (item,) = describe_download([entry("taesd")])
    assert item.files == ("diffusion_pytorch_model.safetensors",)
    assert [file.name for file in remaining_files(entry("taesd"))] == list(item.files)


def test_an_unknown_size_is_no_size() -> None:
    items = describe_download([entry("leres"), entry("taesd")])
    assert [item.size for item in items] == [None, 10_000_000]
    assert [item.size_words for item in items] == ["size unknown", "10 MB"]
    assert total_words(items) == "at least 10 MB"
    assert total_words(items[1:]) == "10 MB"
    assert items[0].licence == "unknown"
    assert items[0].use.startswith("Not known here")
    assert items[0].page.startswith("https://huggingface.co/lllyasviel/Annotators")


GATE = (
    "Gated: accept the terms at https://huggingface.co/black-forest-labs/FLUX.1-dev with your account first, "
    "and set HF_TOKEN to a token of it."
)


@pytest.mark.parametrize("asked", [True, False], ids=["a terminal", "no terminal"])
def test_licence_and_gate_are_shown_before_a_download(
    call: Call, hub: Hub, answer: Callable[[str], None], asked: bool
) -> None:
    if asked:
        answer("n")
    err = call("models", "download", "flux", "taesd")[2]
    assert "FLUX.1 [dev] Non-Commercial: No commercial use" in err
    assert "MIT: Any use" in err
    assert err.count(GATE) == err.count("Gated") == 1
    assert hub.asked == []


def test_the_gate_is_in_lists(call: Call) -> None:
    assert f"\ngate: {GATE}\n" in call("models", "show", "flux")[1]
    lines = call("models", "list", "--family", "flux")[1].splitlines()
    assert [line.split()[0] for line in lines if line.endswith(", gated")] == ["flux"]
    assert "gate" not in call("models", "show", "taesd")[1]
    gated = {row.repo for row in CATALOG if row.gated}
    assert "stabilityai/stable-diffusion-3.5-medium" in gated
    assert all("gated" not in row.note.lower() for row in CATALOG)


def test_known_files_count_where_the_size_of_another_is_unknown() -> None:
    row = replace(entry("taesd"), files=(File("a.bin", 40_900 * MB), File("b.bin"), File("c.json", 0)))
    (item,) = describe_download([row])
    assert (item.size, item.size_words, row.size_words) == (None, "at least 40.90 GB", "at least 40.90 GB")
    assert total_words([item, *describe_download([entry("leres"), entry("taesd")])]) == "at least 40.91 GB"


def test_qwen_image_has_a_size_before_its_download(call: Call, hub: Hub) -> None:
    code, _, err = call("models", "download", "--family", "qwen_image", "--condition", "canny")
    assert code == 2
    assert "(61.24 GB)" in err
    listed = call("models", "list", "--family", "qwen_image")[1].splitlines()
    assert [line.split()[3:5] for line in listed[:2]] == [["57.70", "GB"]] * 2


def test_a_repository_is_noted_and_downloaded(call: Call, hub: Hub) -> None:
    name = "diffusion_pytorch_model.safetensors"
    hub.files = {"who/edges/config.json": b'{"_class_name": "ControlNetModel"}', f"who/edges/{name}": WHOLE}
    code, out, err = call("models", "download", "who/edges", "--yes")
    assert code == 0
    assert (Path(out.strip()) / name).read_bytes() == WHOLE
    assert " (size unknown):\n" in err
    assert "who/edges (who/edges): 1 file, size unknown\n    Licence unknown: Not known here" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Name what to download: an id of `models list`, or --family with --condition."),
        (("--condition", "canny"), "--condition is given without --family; add --family with one of: embedded, sd15"),
        (
            ("--family", "sd21", "--condition", "mlsd"),
            "--condition mlsd has no ControlNet for SD 2.1; choose one of: ca",
        ),
        (("--family", "sd15", "--condition", "cany"), "no condition 'cany' (did you mean canny?)"),
        (("taesdd",), "no weights 'taesdd' (did you mean taesd or taesdxl?)"),
    ],
)
def test_a_mistake_is_one_sentence(call: Call, hub: Hub, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = call("models", "download", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert hub.asked == []


def test_offline_nothing_is_asked(call: Call, own_folders: Path) -> None:
    code, out, err = call("models", "download", "hed", "--yes")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "29.4 MB" in err
    assert "the app is offline; go online, or put that file of" in err


def test_a_base_of_the_hub_comes_whole_in_one_run(call: Call, hub: Hub, tmp_path: Path) -> None:
    """The index of its parts, its configs, the lists of the files that its networks are cut into, and those."""
    save_base(tiny_base("z_image"), tmp_path / "base", torch.float32)
    cut(tmp_path / "base" / "transformer", "diffusion_pytorch_model", 2)
    put(hub, tmp_path / "base", "who/tuned")
    code, _, err = call("models", "download", "who/tuned", "--yes")
    assert code == 0 and err.count("To download into ") == 3  # the index came when it was added
    assert missing(resolve("who/tuned", "base")) == ()
