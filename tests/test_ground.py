"""Makefile, pins, Dockerfile, Space settings and CI: they agree with one another."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from cnet_app.settings import read_settings
from tests.source import ROOT

PIN = re.compile(r"([A-Za-z0-9_-]+)(?:\[[a-z]+\])?==([\w.]+)")


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _pins(name: str) -> dict[str, str]:
    lines = [line for line in _read(name).splitlines() if line and not line.startswith(("#", "-r"))]
    found = [PIN.fullmatch(line) for line in lines]
    assert all(found), f"{name} has a line that is no exact pin"
    return {match[1].lower(): match[2] for match in found if match}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_installed_at_its_pin(name: str) -> None:
    for package, version in _pins(name).items():
        assert importlib.metadata.version(package).split("+")[0] == version, package


def test_both_opencv_wheels_have_one_version() -> None:
    pins = _pins("requirements.txt")
    assert pins["opencv-python"] == pins["opencv-python-headless"]


def test_the_space_settings_match_the_pins() -> None:
    front = _read("README.md").split("---")[1]
    values = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert values["sdk"] == "gradio"
    assert values["sdk_version"] == _pins("requirements.txt")["gradio"]
    assert (ROOT / values["app_file"]).exists()
    assert f"FROM python:{values['python_version'].strip(chr(34))}" in _read("Dockerfile")


def test_the_container_runs_as_a_user_and_listens_where_the_settings_say() -> None:
    text = _read("Dockerfile")
    assert text.index("USER user") < text.index("CMD")
    variables = dict(re.findall(r"(CNET_\w+)=(\S+)", text))
    settings = read_settings([], environ=variables)
    assert (settings.host, settings.port) == ("0.0.0.0", 7860)
    assert "EXPOSE 7860" in text


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_every_binary_file_goes_to_git_lfs_where_a_space_is_pushed() -> None:
    """The hub refuses plain binary files of any size."""
    track = re.search(r"^git lfs track (.+)$", _read("docs/space.md"), re.MULTILINE)
    endings = re.findall(r'"\*(\.\w+)"', track[1] if track else "")
    binary = {Path(name).suffix for name in _tracked() if b"\0" in (ROOT / name).read_bytes()[:8000]}
    assert binary and binary == set(endings)


def test_names_of_files_are_possible_on_windows() -> None:
    """A clone there fails at a reserved name, at a character that no name may have, and at two names that differ in case."""
    names = _tracked()
    device = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
    parts = {part for name in names for part in name.split("/")}
    assert not [part for part in parts if device.fullmatch(part) or part.endswith((".", " "))]
    assert not [name for name in names if re.search(r'[<>:"\\|?*\x00-\x1f]', name)]
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) < 150  # of 260, with the folder of the clone


def test_every_file_that_the_hub_refuses_is_named_where_pushing_a_space_is_explained() -> None:
    names = _tracked()
    large = [name for name in names if (ROOT / name).stat().st_size > 10_000_000]
    assert len(names) > 300
    rows = re.findall(r"^\| `(.+?)` \| ([\d.]+) MB \|$", _read("docs/space.md"), re.MULTILINE)
    assert rows == [(name, f"{(ROOT / name).stat().st_size / 1e6:.1f}") for name in large]
    assert not any("filter=lfs" in (ROOT / name).read_text() for name in names if name.endswith(".gitattributes"))


def test_the_container_fits_a_space() -> None:
    text = _read("Dockerfile")
    assert "--uid 1000 user" in text
    assert text.index("USER user") < text.index("pip install")
    assert "mkdir -p outputs" in text


def test_the_app_listens_on_this_machine_alone_unless_told() -> None:
    assert read_settings([], environ={}).host == "127.0.0.1"


def test_ci_runs_the_command_of_the_readme_and_nothing_else() -> None:
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"
    assert "make test" in _read("README.md")


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    make = shutil.which("make")
    assert make
    # Make tells its children how it was called: the make that runs these tests must not steer this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = [make, "run", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"Python 3.11 or newer is needed, but {old} is not that" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_no_tracked_file_is_larger_than_16_mib() -> None:
    assert not [name for name in _tracked() if (ROOT / name).stat().st_size > 16 * 2**20]


def test_embedded_weights_stay_small() -> None:
    files = [path for path in (ROOT / "models" / "embedded").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 80e6
