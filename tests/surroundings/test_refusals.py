"""Where the app cannot start, it says in one sentence why and what to do, and ends with the exit code of that."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings, read_settings, without_surroundings
from cnet_app.ui import listening
from cnet_app.ui.app import serve
from cnet_app.ui.importing import check_temporary_folder
from cnet_app.ui.listening import url_host, usable_port
from models.errors import InputError, SaveError
from tests.jobs.fake_engine import FakeEngine
from tests.surroundings.starting import bound_by_rights, environment, refused


@pytest.fixture(params=["127.0.0.1", "::1"])
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        server = socket.create_server((request.param, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        yield request.param, server.getsockname()[1]


def serve_with(settings: Settings) -> None:
    serve(settings, Runner(settings, FakeEngine()), Maps(run_here(Runtime())), lambda: None)


def test_a_port_in_use(taken: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = taken
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"in use\); stop what uses it, or choose another --port; 0 takes a free one"):
        serve_with(Settings(host=host, port=port, output_dir=tmp_path))
    assert usable_port(host, 0) not in (0, port)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("a..b", "--host 'a..b' is no address of a machine; give 127.0.0.1"),
        ("no such host", "--host 'no such host' is no address of a machine"),
        ("127.0.0.1:80", "--host '127.0.0.1:80' is no address of a machine"),
    ],
)
def test_an_address_that_is_none(host: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        usable_port(host, 7860)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EACCES, "[::1]:80 may not be listened on by this user: ports below 1024 are the system's"),
        (errno.EAFNOSUPPORT, "This machine has no IPv6"),
        (errno.ENOBUFS, f"[::1]:80 cannot be listened on ({os.strerror(errno.ENOBUFS)})"),
    ],
)
def test_a_system_that_refuses(number: int, sentence: str) -> None:
    assert sentence in str(listening._refused("::1", 80, OSError(number, os.strerror(number))))


def test_hosts_stand_in_addresses_as_they_must() -> None:
    assert list(map(url_host, ("::1", "[::1]", "127.0.0.1", "studio"))) == ["[::1]", "[::1]", "127.0.0.1", "studio"]


def test_uploads_without_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "uploads"))
    with pytest.raises(SaveError, match="point GRADIO_TEMP_DIR to a folder of your own"):
        serve_with(Settings(output_dir=tmp_path))


def test_a_system_without_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    check_temporary_folder()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/no/such"])
    with pytest.raises(SaveError, match="point TMPDIR to one that can"):
        check_temporary_folder()


@pytest.mark.slow
def test_a_folder_of_pictures_that_is_read_only(tmp_path: Path) -> None:
    """Its name is one that the console cannot print."""
    folder = tmp_path / "图片🎨"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, text = refused(
        "--output-dir", str(folder), environ=environment(tmp_path, PYTHONIOENCODING="cp1252"), before=bound_by_rights()
    )
    folder.chmod(stat.S_IRWXU)
    assert (code, text.count("\n")) == (1, 1)
    assert "\\u56fe\\u7247\\U0001f3a8" in text and "choose another folder" in text


def test_a_user_without_a_home_keeps_maps_with_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(cache_dir="~/studio").cache_folder == Path.home() / "studio"

    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert Settings(output_dir=tmp_path).cache_folder == tmp_path / ".cache"


def test_variables_that_would_change_gradios_start_are_hidden_and_come_back() -> None:
    environ = {
        "HTTPS_PROXY": "foo://bar", "no_proxy": "a", "NO_PROXY": "b", "SSL_CERT_FILE": "none", "GRADIO_SERVER_PORT": "many",
        "GRADIO_TEMP_DIR": "kept", "SYSTEM": "spaces", "PATH": "/bin",
    }  # fmt: skip
    before = dict(environ)
    with without_surroundings(environ):
        assert environ == {
            "HTTPS_PROXY": "foo://bar", "no_proxy": "*", "NO_PROXY": "*", "GRADIO_TEMP_DIR": "kept", "PATH": "/bin"
        }  # fmt: skip
    assert environ == before


@pytest.mark.parametrize(
    ("given", "root_path", "prefix"),
    [
        ("", "", ""),
        ("/", "", ""),
        ("/studio/", "/studio", "/studio"),
        ("https://a.example:8443/x/y/", "https://a.example:8443/x/y", "/x/y"),
        ("https://a.example", "https://a.example", ""),
        ("http://[::1]:80/x", "http://[::1]:80/x", "/x"),
    ],
)
def test_the_path_below_which_the_app_is_shown(given: str, root_path: str, prefix: str) -> None:
    settings = read_settings([], {"GRADIO_ROOT_PATH": given})
    assert (settings.root_path, settings.prefix) == (root_path, prefix)


@pytest.mark.parametrize(
    "given", ["studio", "//host/x", "/a b", '/"><script>', "/a?b", "ftp://host/x", "/x/../y?", "https://"]
)
def test_a_path_that_is_none(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--root-path", given], {})
    assert "is not a path as /studio" in capsys.readouterr().err
