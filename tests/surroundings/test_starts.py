"""The app starts, answers and makes pictures where machines are not as developers have them."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests.browser.driver import REAL
from tests.surroundings.starting import Running, bound_by_rights, environment, started

pytestmark = pytest.mark.slow

NAME = "人物é🎨.png"
SPACE = {"SPACE_ID": "who/studio", "SPACE_HOST": "who-studio.hf.space", "SYSTEM": "spaces"}


class DeadProxy:
    """Counts who asks it for anything, and answers nobody."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.asked = 0
        self.place = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.asked += 1
                connection.close()


@pytest.fixture
def proxy() -> Iterator[DeadProxy]:
    proxy = DeadProxy()
    yield proxy
    proxy.socket.close()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read only"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield folder
    folder.chmod(stat.S_IRWXU)


def photo() -> bytes:
    pixels = np.full((64, 64, 3), 30, np.uint8)
    pixels[16:48, 20:40] = 220
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def without_shared_memory() -> Sequence[str]:
    """The words before a command for which /dev/shm cannot be written; none where this user may not take it away."""
    words = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm && exec "$@"', "sh")
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return ()
    return words


def answers(app: Running) -> None:
    """The page is there, takes a photo of any name, and makes its map."""
    assert "studio/main.js" in app.get().text and app.get("/studio/main.js").status_code == 200
    (path,) = app.post("/gradio_api/upload", files={"files": (NAME, photo())}).json()
    put = app.call("put", path=path)
    assert len(put.get("sha256", "")) == 64, put
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    begun = app.post("/gradio_api/call/annotate", json={"data": ["canny", file]}).json()
    assert "event: complete" in app.get(f"/gradio_api/call/annotate/{begun['event_id']}").text


def makes_a_picture(app: Running) -> None:
    """The process that runs the model works too."""
    options = {"num_inference_steps": 1, "width": 64, "height": 64}
    begun = app.post("/gradio_api/call/generate", json={"data": ["a blue ball", [], options]}).json()
    made = app.get(f"/gradio_api/call/generate/{begun['event_id']}").text
    job = json.loads(made.split("data: ")[-1])[0]["job"]
    begun = app.post("/gradio_api/call/jobs", json={"data": [job, 100]}).json()
    ended = app.get(f"/gradio_api/call/jobs/{begun['event_id']}").text
    assert '"status": "done"' in ended or '"status":"done"' in ended, ended


def test_socks_proxies_a_read_only_home_and_a_console_of_ascii(
    tmp_path: Path, proxy: DeadProxy, read_only: Path
) -> None:
    models = tmp_path / "模型"
    environ = environment(
        tmp_path,
        CNET_MODELS_DIR=str(models),
        ALL_PROXY=f"socks5://{proxy.place}",
        HTTPS_PROXY=f"socks://{proxy.place}/",
        NO_PROXY="10.0.0.0/8, ::1/128, [::1], *.corp, .corp,,",
        SSL_CERT_FILE=str(tmp_path / "none.pem"),
        GRADIO_SERVER_NAME="::1",
        GRADIO_NUM_PORTS="some",
        GRADIO_DEBUG="1",
        GRADIO_ALLOWED_PATHS="/",
        CNET_HOST="127.0.0.1",
        CNET_CACHE_DIR="~/.cache/studio",
        HOME=str(read_only),
        TMPDIR=str(read_only),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    (models / "loras").mkdir(parents=True)
    save_file({"lora_unet_x.lora_down.weight": np.zeros((1, 1), np.float32)}, models / "loras" / "人物é🎨.safetensors")
    with started(tmp_path, environ=environ, before=(*without_shared_memory(), *bound_by_rights())) as app:
        assert app.get("/gradio_api/file=/etc/hostname").status_code in (403, 404)
        path = app.post("/gradio_api/upload", files={"files": (NAME, photo())}).json()[0]
        told = app.call("put", path=path)
        assert str(read_only) in told["error"] and "cannot be kept" in told["error"], told
        assert "人物é🎨.safetensors" in json.dumps(app.call("choices"), ensure_ascii=False)
        if REAL:
            makes_a_picture(app)
    assert proxy.asked == 0
    assert b"Traceback" not in app.log.read_bytes()


def test_a_space_behind_an_http_proxy(tmp_path: Path, proxy: DeadProxy) -> None:
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")
    environ = environment(tmp_path, **dict.fromkeys(names, f"http://{proxy.place}"), **SPACE)
    own = f"https://{SPACE['SPACE_HOST']}"
    headers = {"Host": SPACE["SPACE_HOST"], "Origin": own, "X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"}
    with started(tmp_path, environ=environ, headers=headers) as app:
        assert f'"root":"{own}"' in app.get().text.replace('": "', '":"')
        answers(app)
        tables = app.call("tables")
        assert tables["local"] is False
        for wrong in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            other = Running(app.address, app.log, app.process, {**headers, **wrong})
            assert other.post("/studio/call", json={"name": "tables"}).status_code == 403
        with socket.create_connection((machine_address(), int(app.address.rsplit(":")[-1])), 5):
            pass  # also from outside
    assert proxy.asked == 0
    assert b"Traceback" not in app.log.read_bytes()


def machine_address() -> str:
    """Return an address of this machine besides 127.0.0.1, which only a server on 0.0.0.0 listens on."""
    return "127.0.0.3"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6(host: str, tmp_path: Path) -> None:
    """Without a user of a name, and without a home."""
    nobody: tuple[str, ...] = ()
    if not os.geteuid() and bound_by_rights():
        nobody = ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups")
        nobody += ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        for path in (tmp_path, *tmp_path.parents[:2]):
            path.chmod(0o777)
    environ = environment(tmp_path, without=("HOME",), CNET_CACHE_DIR="~/.cache/studio", NO_PROXY=host)
    with started(tmp_path, "--host", host, "--public", "off", environ=environ, before=nobody, asked="[::1]") as app:
        assert app.get().status_code == 200
        own = Running(app.address, app.log, app.process, {"Origin": app.address})
        answers(own)
        assert f"Running on {app.address}" in app.log.read_text()
        assert not nobody or "There is no home folder" in app.log.read_text()
        foreign = Running(app.address, app.log, app.process, {"Origin": "http://[::2]"})
        assert foreign.post("/studio/call", json={"name": "tables"}).status_code == 403
    assert "Traceback" not in app.log.read_text()
