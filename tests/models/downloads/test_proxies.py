"""A download whose proxy or certificates cannot be used names the variable that is at fault."""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from models.catalogue.catalog import Weights
from models.catalogue.weights import fetch_row
from models.errors import DownloadError, MissingError

HUB = "https://hub.example"
SOCKS = "is a SOCKS proxy, which needs one more package; run `pip install socksio`"
VARIABLES = "the variables of proxies cannot be used"


@pytest.fixture(autouse=True)
def far_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that is reached through a proxy alone, by a client of this test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("HF_HUB_OFFLINE", "CNET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", HUB)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", HUB + "/{repo_id}/resolve/{revision}/{filename}")
    close_session()
    yield
    close_session()


def refusal(row: Weights) -> str:
    with pytest.raises(DownloadError) as raised:
        fetch_row(row)
    text = str(raised.value)
    assert text.startswith("Nice edges needs ") and text.count("\n") == 0 and text.endswith(".")
    return text


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", SOCKS),
        ("https_proxy", "socks5h://127.0.0.1:9", SOCKS),
        ("HTTPS_PROXY", "socks://127.0.0.1:9/", VARIABLES),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9", VARIABLES),
        ("HTTPS_PROXY", "http://host:port", VARIABLES),
        (
            "SSL_CERT_FILE",
            "/no/such/certificates.pem",
            "SSL_CERT_FILE or SSL_CERT_DIR points to certificates that are not",
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    variable: str, value: str, sentence: str, row: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sentence == SOCKS and importlib.util.find_spec("socksio"):
        pytest.skip("socksio is installed")
    monkeypatch.setenv(variable, value)
    assert sentence in refusal(row)


def test_a_proxy_that_is_not_there_is_named_without_its_password(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:secret@127.0.0.1:9/")
    with pytest.raises(MissingError) as raised:
        fetch_row(row)
    assert "hub.example cannot be reached through the proxy 127.0.0.1:9: the connection is refused; go online" in str(
        raised.value
    )
    assert "secret" not in str(raised.value)


def test_a_proxy_that_refuses_is_named(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_refuse, args=(server,), daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
        text = refusal(row)
    assert "the proxy refuses to connect to hub.example (407 Proxy Authentication Required); check HTTPS_PROXY" in text


def _refuse(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            connection.close()


def test_a_hub_that_is_no_address_is_named(row: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "hub")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "hub/{repo_id}/resolve/{revision}/{filename}")
    assert "HF_ENDPOINT must begin with https://" in refusal(row)
