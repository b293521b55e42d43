"""Every form of a data set, and every way it can be wrong."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from annotators.maps.kinds import KINDS
from annotators.sources.images import load_image
from cnet_app.training.data import hub_tables
from cnet_app.training.data.captions import read_captions
from cnet_app.training.data.naming import CAPTION_FOLDERS, CONTROL_FOLDERS, IMAGE_FOLDERS
from cnet_app.training.data.pairs import DataSet, image_size, read_control, read_control_data, read_image
from cnet_app.training.data.readers import READERS, read_data
from models.errors import InputError
from tests.training.data.folders import SIDE, picture_bytes, write, write_shard

FILES: Mapping[str, str | int] = {"images/a.png": 1, "images/b.jpg": 2, "maps/a.png": 3, "maps/b.png": 4}


def told(data: DataSet) -> list[tuple[str, str]]:
    return [(problem.kind, problem.where) for problem in data.problems]


def rows_as(form: str, rows: Sequence[Mapping[str, object]]) -> str:
    if form == "csv":
        file = io.StringIO()
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
        return file.getvalue()
    return json.dumps(rows) if form == "json" else "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(("images", "controls"), [*zip(IMAGE_FOLDERS, CONTROL_FOLDERS, strict=False), ("photos", "Conditioning_Images"), ("IMAGES", "hints"), ("train_data", "cond")])  # fmt: skip
def test_two_folders_by_their_names(tmp_path: Path, images: str, controls: str) -> None:
    files = {f"{images}/a.png": 1, f"{images}/sub/b.jpg": 2, f"{controls}/a.png": 3, f"{controls}/sub/b.png": 4}
    data = read_data(write(tmp_path, {**files, f"{images}/.hidden/x.png": 1, f"{images}/notes.md": "no picture"}))
    assert data.form == "folders" and not data.problems
    assert [(pair.name, pair.where) for pair in data.pairs] == [("a", f"{images}/a.png"), ("sub/b", f"{images}/sub/b.jpg")]  # fmt: skip
    assert all(pair.control and pair.control.path.parent.name in (controls, "sub") for pair in data.pairs)
    assert (read_image(data.pairs[0]) == load_image(picture_bytes(1))).all()
    assert (read_control(data.pairs[1], KINDS["picture"]) == load_image(picture_bytes(4))).all()


@pytest.mark.parametrize("folder", CAPTION_FOLDERS)
def test_captions_beside_apart_and_none(tmp_path: Path, folder: str) -> None:
    texts = {"images/a.txt": "\ufeff a red ball \n", f"{folder}/b.caption": "a blue box"}
    data = read_data(write(tmp_path, {**FILES, **texts, "images/c.png": 5, "maps/c.png": 6}))
    assert [pair.caption for pair in data.pairs] == ["a red ball", "a blue box", ""]


def test_a_half_without_the_other_is_named(tmp_path: Path) -> None:
    data = read_data(write(tmp_path, {**FILES, "images/c.png": 5, "maps/d.png": 6, "maps/a.jpg": 7}))
    assert told(data) == [("missing", "maps/a.png"), ("missing", "images/c.png"), ("missing", "maps/d.png")]
    assert "images/c.png has no map; add maps/c.png, or remove it." in [problem.message for problem in data.problems]
    assert "a.jpg has its name" in data.problems[0].message
    assert [pair.control is None for pair in data.pairs] == [False, False, True]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("columns", [("image", "conditioning_image", "text"), ("file_name", "conditioning_image_file_name", "caption"), ("file_path", "control_file_path", "prompt")])  # fmt: skip
@pytest.mark.parametrize("place", ["", "train/"])
def test_tables_with_the_columns_of_others(tmp_path: Path, form: str, columns: tuple[str, ...], place: str) -> None:
    words = 'a "red" ball, on\na table \u2028 there'
    rows = [dict(zip(columns, row, strict=True)) for row in (("images/a.png", "maps/a.png", words), ("images\\b.jpg", "maps/b.png", ""))]  # fmt: skip
    write(tmp_path / place, {**FILES, f"metadata.{form}": "\ufeff" + rows_as(form, rows)})
    data = read_data(tmp_path)
    assert data.form == "metadata" and not data.problems
    assert [(pair.name, pair.caption) for pair in data.pairs] == [("images/a", words), ("images/b", "")]
    last = {"csv": 4, "jsonl": 2, "json": 2}[form]
    assert data.pairs[1].where == f"{place}metadata.{form}, line {last}"


def test_an_image_as_the_hubs_viewer_writes_it(tmp_path: Path) -> None:
    row = {"image": {"path": "images/a.png"}, "conditioning_image": {"path": "maps/a.png"}, "text": "x"}
    (pair,) = read_data(write(tmp_path, {**FILES, "metadata.jsonl": json.dumps(row)})).pairs
    assert (read_image(pair) == load_image(picture_bytes(1))).all()


def test_a_metadata_json_of_another_tool_is_no_table(tmp_path: Path) -> None:
    assert read_data(write(tmp_path, {**FILES, "metadata.json": '{\n  "made by": "x"\n}'})).form == "folders"


@pytest.mark.parametrize("form", ["lines", "list"])
def test_the_originals_prompt_json(tmp_path: Path, form: str) -> None:
    rows = [{"source": "maps/a.png", "target": "images/a.png", "prompt": "pale golden rod circle"}]
    text = rows_as("json" if form == "list" else "jsonl", rows)
    data = read_data(write(tmp_path, {**FILES, "prompt.json": text}))
    (pair,) = data.pairs
    assert (data.form, pair.caption, pair.where) == ("prompt_json", "pale golden rod circle", "prompt.json, line 1")
    assert (read_control(pair, KINDS["picture"]) == load_image(picture_bytes(3))).all()


def test_broken_lines_are_named_and_the_others_read(tmp_path: Path) -> None:
    lines = [
        '{"image": "images/a.png", "conditioning_image": "maps/a.png", "text": "a"}',
        '{"image": "images/a.png",',
        "[1, 2]",
        "",
        '{"text": "no picture"}',
        '{"image": "images/b.jpg", "text": "no map"}',
        '{"image": "images/gone.png", "conditioning_image": "maps/a.png"}',
        '{"image": "images/b.jpg", "conditioning_image": "maps/gone.png"}',
        '{"image": "../outside.png", "conditioning_image": "maps/a.png"}',
        '{"image": "images/b.jpg", "conditioning_image": "/etc/hostname"}',
        '{"image": "images/../../outside.png", "conditioning_image": "maps/a.png"}',
        '{"image": "\\u0000", "conditioning_image": "maps/a.png"}',
        '{"image": "images/a.png", "conditioning_image": "maps/a.png", "text": "again"}',
        "[" * 100_000,
    ]
    write(tmp_path, {"outside.png": 9})
    data = read_data(write(tmp_path / "data", {**FILES, "metadata.jsonl": "\n".join(lines)}))
    assert [(kind, where.split()[-1]) for kind, where in told(data)] == [
        ("unreadable", "2"), ("unreadable", "3"), ("unreadable", "5"), ("missing", "6"), *[("unreadable", str(n)) for n in (7, 8, 9, 10, 11, 12, 14)]
    ]  # fmt: skip
    assert "names ../outside.png, which is not in the folder; put the file there." in data.problems[6].message
    assert [pair.name for pair in data.pairs] == ["images/a", "images/b", "images/b-2", "images/b-3", "images/a-2"]
    assert [pair.control is None for pair in data.pairs] == [False, True, True, True, False]


def test_a_csv_that_breaks_off(tmp_path: Path) -> None:
    text = f'image,conditioning_image,text\nimages/a.png,maps/a.png,"{"x" * 200_000}"\n'
    assert told(read_data(write(tmp_path, {**FILES, "metadata.csv": text}))) == [("unreadable", "metadata.csv, line 2")]


def test_links_of_the_users_own_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", FILES)
    row = {"image": "images/a.png", "conditioning_image": "maps/a.png"}
    write(tmp_path / "data", {"metadata.jsonl": json.dumps(row)})
    for name in ("images", "maps"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / name)
    data = read_data(tmp_path / "data")
    assert not data.problems and len(data.pairs) == 1


def test_names_that_end_like_a_second_one_stay_apart(tmp_path: Path) -> None:
    names = ("a.png", "a.jpg", "a-2.png")
    rows = [{"image": f"images/{name}", "conditioning_image": "maps/a.png"} for name in names]
    data = read_data(write(tmp_path, {**FILES, "images/a.jpg": 7, "images/a-2.png": 8, "metadata.jsonl": rows_as("jsonl", rows)}))  # fmt: skip
    assert [pair.name for pair in data.pairs] == ["images/a", "images/a-3", "images/a-2"]


def test_shards_are_read_without_unpacking(tmp_path: Path) -> None:
    people = json.dumps({"people": []})
    members = {
        "x/0001.jpg": picture_bytes(1, form="JPEG"), "x/0001.control.png": picture_bytes(2), "x/0001.txt": "a ball",
        "x/0001.control.json": people, "0002.png": picture_bytes(3), "0002.hint.png": picture_bytes(4),
        "0002.json": '{"caption": "a box"}', "0003.control.png": picture_bytes(5), "0004.jpg": picture_bytes(6), "readme.md": "no",
    }  # fmt: skip
    write_shard(tmp_path / "one.tar", members)
    data = read_data(tmp_path)
    assert data.form == "webdataset"
    assert [(pair.name, pair.caption) for pair in data.pairs] == [("one/x/0001", "a ball"), ("one/0002", "a box"), ("one/0004", "")]  # fmt: skip
    assert told(data) == [("missing", "one.tar, 0003"), ("missing", "one.tar, 0004")]
    first, second, _ = data.pairs
    assert (read_image(second) == load_image(picture_bytes(3))).all()
    assert (read_control(first, KINDS["picture"]) == load_image(picture_bytes(2))).all()
    assert read_control_data(first) == {"people": []}
    assert image_size(first) == (SIDE, SIDE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar"]


def test_a_cut_shard_gives_what_is_whole(tmp_path: Path) -> None:
    members = {f"{n}.{end}": picture_bytes(n) for n in range(3) for end in ("png", "control.png")}
    write_shard(tmp_path / "one.tar", members)
    data = (tmp_path / "one.tar").read_bytes()
    (tmp_path / "one.tar").write_bytes(data[: 2 * 2048 + 600])
    (tmp_path / "two.tar").write_bytes(b"no tar" * 200)
    found = read_data(tmp_path)
    assert [where for kind, where in told(found) if kind == "unreadable"] == ["one.tar", "two.tar"]
    assert found.pairs[0].name == "one/0" and found.pairs[0].control


@pytest.mark.parametrize(("damaged", "missing"), [(7, "map"), (6, "picture")])
def test_a_damaged_header_costs_its_member_alone(tmp_path: Path, damaged: int, missing: str) -> None:
    members = {f"{n:04d}.{end}": picture_bytes(n) for n in range(6) for end in ("png", "control.png")}
    members |= {f"{n:04d}.txt": b"words" for n in range(6)}
    members = dict(sorted(members.items(), key=lambda item: (item[0][:4], item[0].endswith("txt"))))
    write_shard(tmp_path / "one.tar", members)
    with tarfile.open(tmp_path / "one.tar") as tar:
        member = tar.getmembers()[damaged]
    data = bytearray((tmp_path / "one.tar").read_bytes())
    data[member.offset + 150] ^= 1
    (tmp_path / "one.tar").write_bytes(data)
    found = read_data(tmp_path)
    assert len(found.pairs) == (6 if missing == "map" else 5)
    assert told(found) == [("unreadable", f"one.tar, {member.name}"), ("missing", "one.tar, 0002")]
    assert f"its header at byte {member.offset} is damaged" in found.problems[0].message
    assert missing in found.problems[1].message and found.problems[0].pair == "one/0002"


def test_several_damaged_headers_and_those_of_long_names(tmp_path: Path) -> None:
    members = {f"{n}{'x' * 120}.{end}": picture_bytes(n) for n in range(4) for end in ("png", "control.png")}
    write_shard(tmp_path / "one.tar", members)
    with tarfile.open(tmp_path / "one.tar") as tar:
        infos = tar.getmembers()
    data = bytearray((tmp_path / "one.tar").read_bytes())
    for place in (2, 3, 5):
        data[infos[place].offset_data - 512 + 150] ^= 1  # the member's own header, behind that of its long name
    (tmp_path / "one.tar").write_bytes(data)
    found = read_data(tmp_path)
    assert [pair.name[:5] for pair in found.pairs] == ["one/0", "one/2", "one/3"]
    assert sum(kind == "unreadable" for kind, _ in told(found)) >= 3


def test_an_archive_without_its_end_and_two_in_one_file(tmp_path: Path) -> None:
    for name in "ab":
        members = {f"{name}.png": picture_bytes(1), f"{name}.control.png": picture_bytes(2)}
        write_shard(tmp_path / f"{name}.tar", members)
    first, second = ((tmp_path / f"{name}.tar").read_bytes() for name in "ab")
    (tmp_path / "a.tar").write_bytes(first + second)
    (tmp_path / "b.tar").unlink()
    found = read_data(tmp_path)
    assert [pair.name for pair in found.pairs] == ["a/a", "a/b"] and not found.problems
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmembers()[-1]
    (tmp_path / "a.tar").write_bytes(first[: member.offset_data + -(-member.size // 512) * 512])
    found = read_data(tmp_path)
    assert len(found.pairs) == 1 and "has no end blocks" in found.problems[0].message


def test_pictures_alone(tmp_path: Path) -> None:
    data = read_data(write(tmp_path, {"b.png": 1, "sub/a.jpg": 2, "b.txt": "a ball"}))
    assert data.form == "pictures"
    assert [(pair.name, pair.caption, pair.control) for pair in data.pairs] == [("b", "a ball", None), ("sub/a", "", None)]  # fmt: skip


def test_files_that_are_no_pictures_are_counted(tmp_path: Path) -> None:
    files = {f"{n}.tif": b"II*" for n in range(3)} | {
        "x.psd": b"8BPS",
        ".hidden/y.tif": b"",
        "a.txt": "",
    }
    with pytest.raises(InputError, match=r"4 files are not read \(3 .tif, 1 .psd\)"):
        read_data(write(tmp_path, files))
    write(tmp_path, {"a.gif": picture_bytes(1, form="GIF"), "b.JPE": picture_bytes(2, form="JPEG")})
    data = read_data(tmp_path)
    assert [pair.name for pair in data.pairs] == ["a", "b"] and data.skipped[".tif"] == 3
    assert all(read_image(pair).shape == (SIDE, SIDE, 3) for pair in data.pairs)


def test_people_beside_a_map(tmp_path: Path) -> None:
    row = json.dumps({"image": "images/a.png", "conditioning_image": "maps/a.png"})
    write(tmp_path, {**FILES, "maps/a.json": '{"people": [1]}', "maps/b.json": "[]"})
    for more in ({}, {"metadata.jsonl": row}):
        pair = read_data(write(tmp_path, more)).pairs[0]
        assert read_control_data(pair) == {"people": [1]}
    write(tmp_path, {"maps/a.json": "[]"})
    with pytest.raises(InputError, match=r"a.json \(metadata.jsonl, line 1\) holds no JSON object"):
        read_control_data(pair)


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json", "part.parquet", "data/train-00000.parquet"])
def test_tables_of_the_hub_need_their_package(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_tables, "LIBRARY", "no_such_package")
    with pytest.raises(InputError, match="needs the package datasets; run `pip install datasets`"):
        read_data(write(tmp_path, {name: ""}))


@pytest.mark.parametrize("form", ["saved", "splits", "parquet"])
def test_tables_of_the_hub(tmp_path: Path, form: str) -> None:
    """The files of the package datasets are Arrow streams and parquet files, with pictures as bytes and path."""
    pyarrow: Any = pytest.importorskip("pyarrow")
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    pictures = {name: [{"bytes": picture_bytes(seed + row), "path": None} for row in range(3)] for seed, name in ((1, "image"), (5, "conditioning_image"))}  # fmt: skip
    table = pyarrow.table(pictures | {"text": ["a ball ", None, "a box"]})
    folder = tmp_path / ("data/train" if form == "splits" else "data")
    folder.mkdir(parents=True)
    if form == "parquet":
        parquet.write_table(table, folder / "part.parquet", row_group_size=2)
    else:
        with pyarrow.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:  # fmt: skip
            writer.write_table(table)
        write(folder, {"state.json": "{}"})
        write(tmp_path / "data", {"dataset_dict.json": '{"splits": ["test", "train"]}'} if form == "splits" else {})
    data = read_data(tmp_path / "data")
    assert (data.form, [pair.caption for pair in data.pairs], data.problems) == ("hub", ["a ball", "", "a box"], ())
    for row, pair in enumerate(data.pairs):
        assert (read_image(pair) == load_image(picture_bytes(1 + row))).all()
        assert (read_control(pair, KINDS["picture"]) == load_image(picture_bytes(5 + row))).all()
        assert image_size(pair) == (SIDE, SIDE)
    if form == "parquet":
        write(folder, {"part.parquet": "no table"})
        hub_tables.read_part.cache_clear()
        assert told(read_data(tmp_path / "data")) == [("unreadable", "part.parquet")]
        with pytest.raises(InputError, match="get the data set again"):
            read_image(data.pairs[0])


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no data folder .*gone"):
        read_data(tmp_path / "gone")
    with pytest.raises(InputError, match="is none of the forms .*: metadata.jsonl"):
        read_data(tmp_path)
    write(tmp_path, {"metadata.jsonl": ""})
    with pytest.raises(InputError, match="holds no pairs, though it has the form: metadata"):
        read_data(tmp_path)
    assert len({reader.id for reader in READERS}) == len(READERS)


def test_a_folder_that_vanishes_while_it_is_used(tmp_path: Path) -> None:
    pair = read_data(write(tmp_path / "data", FILES)).pairs[0]
    shutil.rmtree(tmp_path / "data")
    for use in (read_image, image_size):
        with pytest.raises(InputError, match=r"a.png cannot be read \(No such file"):
            use(pair)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_sizes_without_decoding(tmp_path: Path, form: str) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a.{form.lower()}"
    Image.new("RGB", (40, 24), "red").save(path, form, exif=exif)
    (pair,) = read_data(tmp_path).pairs
    assert image_size(pair) == (24, 40) == read_image(pair).shape[1::-1]
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=path.name):
        image_size(pair)


def test_captions_apart(tmp_path: Path) -> None:
    pairs = read_data(write(tmp_path / "data", FILES)).pairs
    write(tmp_path, {"texts/a.txt": "one\n", "texts/sub/b.caption": "two"})
    assert [read_captions(tmp_path / "texts").of(pair) for pair in pairs] == ["one", ""]
    write(tmp_path, {"c.csv": '\ufefffile_name,text\na.png,"one, and\nmore"\nimages\\b.jpg,two\n.,x\n'})
    assert [read_captions(tmp_path / "c.csv").of(pair) for pair in pairs] == ["one, and\nmore", ""]
    write(tmp_path, {"c.jsonl": '{"image": "b.jpg", "text": "two"}\n\n{"text": "alone\u2028"}'})
    found = read_captions(tmp_path / "c.jsonl")
    assert ([found.of(pair) for pair in pairs], found.all) == (["", "two"], ("alone", "two"))
    write(tmp_path, {"c.txt": "one\n\n two \n"})
    assert read_captions(tmp_path / "c.txt").all == ("one", "two")
    bad = {"gone.csv": r"gone.csv, which cannot be read \(No such", "bad.jsonl": "bad.jsonl, line 1 is no JSON ", "list.jsonl": "line 1 is no JSON object", "empty.txt": "holds no captions"}  # fmt: skip
    write(tmp_path, {"bad.jsonl": "{", "list.jsonl": "[]", "empty.txt": "\n"})
    for name, message in bad.items():
        with pytest.raises(InputError, match=message):
            read_captions(tmp_path / name)
