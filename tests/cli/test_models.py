"""`models`: list, show, add and verify; `models download` is in terminal/test_download.py."""

from __future__ import annotations

import json
from pathlib import Path

from models.catalogue.catalog import CATALOG
from models.catalogue.local import FOLDERS
from tests.cli.conftest import Call


def test_models_list_shows_every_row_and_whether_it_is_here(call: Call, own_folders: Path) -> None:
    code, out, _ = call("models", "list", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["models"]] == [row.id for row in CATALOG]
    assert call("models", "list")[1].count("\n") == len(CATALOG)


def test_models_list_can_be_narrowed(call: Call, own_folders: Path) -> None:
    def ids(*words: str) -> list[str]:
        return [line.split()[0] for line in call("models", "list", *words)[1].splitlines()]

    (own_folders / "vae").mkdir(parents=True)
    (own_folders / "vae" / "mine.pt").write_text("tensors")
    assert ids("--kind", "vae") == ["vae_ft_mse", "vae_fp16_sdxl", "taesd", "taesdxl", "mine.pt"]
    assert ids("--kind", "adapter", "--family", "sd15")[0] == "t2iadapter_canny_sd15"
    assert ids("--family", "sdxl", "--kind", "vae") == ["vae_fp16_sdxl", "taesdxl"]
    assert ids("--here", "--kind", "base") == ["embedded"]
    assert call("models", "list", "--kind", "lamp")[0] == 2


def test_models_add_notes_a_repository(call: Call, own_folders: Path) -> None:
    code, out, _ = call("models", "add", "who/edges", "--kind", "controlnet")
    assert (code, out) == (0, "who/edges is noted as controlnet; `models download who/edges` fetches its files.\n")
    assert "who/edges" in call("models", "list", "--kind", "controlnet")[1]
    assert "use: Not known here" in call("models", "show", "who/edges")[1]
    assert "lacks config.json; run `models download who/edges`" in call("models", "verify", "who/edges")[2]
    (own_folders / "mine.ckpt").write_text("tensors")
    code, _, err = call("models", "add", own_folders / "mine.ckpt")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "mine.ckpt is a file; put it into models/checkpoints" in err


def test_models_verify_tells_right_from_damaged_and_missing(call: Call, own_folders: Path) -> None:
    assert call("models", "verify", "embedded_canny") == (
        0,
        "recorded now  embedded_canny  config.json\n"
        "recorded now  embedded_canny  diffusion_pytorch_model.safetensors\n",
        "",
    )
    assert "right         embedded_canny  config.json" in call("models", "verify", "embedded_canny")[1]
    assert "checksum: none known; recorded at the first" in call("models", "show", "embedded_depth")[1]
    assert "checksum: none known" not in call("models", "show", "embedded_canny")[1]

    code, out, err = call("models", "verify", "hed")
    assert (code, out) == (3, "missing       hed  ControlNetHED.pth\n")
    assert "run `models download hed`" in err
    (own_folders / "hed").mkdir()
    (own_folders / "hed" / "ControlNetHED.pth").write_text("something else")
    code, out, err = call("models", "verify", "--json")
    found = {(file["id"], file["name"]): file["state"] for file in json.loads(out)["files"]}
    assert code == 3
    assert found["hed", "ControlNetHED.pth"] == "damaged"
    assert set(found.values()) == {"damaged", "right", "recorded now"}
    assert err.startswith("ControlNetHED.pth in ") and len(err.splitlines()) == 1


def test_models_list_shows_dropped_files_of_every_kind(call: Call, own_folders: Path) -> None:
    for kind, folder in FOLDERS.items():
        (own_folders / folder).mkdir(parents=True)
        (own_folders / folder / f"{kind}.pt").write_text("tensors")
    files = json.loads(call("models", "list", "--json")[1])["files"]
    assert [(file["name"], file["kind"], file["family"]) for file in files] == [(f"{k}.pt", k, None) for k in FOLDERS]
    assert [line.split()[:2] for line in call("models", "list")[1].splitlines()[-5:]] == [
        [f"{kind}.pt", kind] for kind in FOLDERS
    ]


def test_models_show_and_download_tell_of_a_row(call: Call) -> None:
    assert "lllyasviel/Annotators" in call("models", "show", "hed")[1]
    code, _, err = call("models", "download", "hed")
    assert code == 3
    assert "29.4 MB" in err
