"""Settings of the web app: one frozen object from the environment (CNET_…) and the flags, which win."""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from models.names import DEVICE_NAMES, did_you_mean, is_device_name

SPEEDS = ("exact", "near", "compiled")
SPACE_FRAMES = "https://huggingface.co https://*.huggingface.co https://*.hf.space"
ENGINES = ("process", "thread")
HOMELESS = ".cache"
"""In the folder of pictures, what users without a home would have in theirs."""
ROOT = Path(__file__).parents[1]
"""The folder of the project: the one of app.py."""
ROOT_PATH = re.compile(r"(https?://[\w.-]+(:\d{1,5})?|https?://\[[0-9a-fA-F:.]+\](:\d{1,5})?)?(/[\w.~-]+)*", re.ASCII)
LONGEST_NUMBER = 20
"""Digits."""


def _option(default: Any, help: str, parse: Callable[[str], Any] = str) -> Any:
    """A field that is also the flag --its-name and the variable CNET_ITS_NAME."""
    return field(default=default, metadata={"help": help, "parse": parse})


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        digits = text.strip()
        if not digits.isdecimal() or len(digits) > LONGEST_NUMBER or not minimum <= int(digits) <= maximum:
            raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return parse


def _gigabytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 10000")
    return number


def device_name(text: str) -> str:
    """Return the name of a device as it is; whether this machine has it is seen when a model is loaded."""
    if not is_device_name(text):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not one of {DEVICE_NAMES}")
    return text


def _root_path(text: str) -> str:
    """Return the path without a slash at its end, or the whole address."""
    path = text.rstrip("/")
    if not ROOT_PATH.fullmatch(path):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a path as /studio, nor an address as https://example.org/studio"
        )
    return path


def _switch(text: str) -> bool:
    if text.lower() not in {"1", "on", "yes", "true", "0", "off", "no", "false", ""}:
        raise argparse.ArgumentTypeError(f"{text!r} is not on or off")
    return text.lower() in {"1", "on", "yes", "true"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Chosen once at the start; nothing changes them later."""

    host: str = _option("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in, as a Space needs")
    public: bool | None = _option(
        None,
        "visitors are strangers: each has the own pictures and jobs alone, within budgets, and the models of this app; "
        "on by itself on a Space and where other machines get in",
        _switch,
    )
    allow_downloads: bool = _option(
        False, "in public mode visitors too may download models of the catalogue onto this server", _switch
    )
    hosts: str = _option(
        "",
        "names under which the app is reached, joined by commas; in local mode localhost and plain addresses always are",
    )
    frames: str = _option(
        "", "sites whose pages may show the app in a frame, joined by spaces, such as https://example.org"
    )
    root_path: str = _option(
        "",
        "path under which a reverse proxy shows the app, such as /studio, or its whole address, such as "
        "https://example.org/studio",
        _root_path,
    )
    proxies: int = _option(
        0, "reverse proxies in front of the app, which tell it the visitors' addresses", _whole(0, 10)
    )
    auth: str = _option(
        "",
        "file of the users who may log in, a line NAME:HASH each, as `python -m cnet_app.ui.protection.users` writes",
    )
    password: str = field(
        default="",
        repr=False,
        metadata={
            "help": "one password for all, any name; the variable keeps it out of lists of processes",
            "parse": str,
        },
    )
    port: int = _option(7860, "port to listen on; 0 takes a free one", _whole(0, 65535))
    output_dir: Path = field(
        default=Path("outputs"), metadata={"help": "folder for pictures and history", "parse": Path}
    )
    cache_dir: str = _option("~/.cache/controlnet-studio", "folder for what can be made again: maps of pictures")
    map_cache_mb: int = _option(
        256, "MB of maps that are kept, so that a picture is annotated once; 0 keeps none", _whole(0, 1_000_000)
    )
    base: str = _option("", "base model: catalogue id, hub id or folder; left out, the best that can run here")
    device: str = _option("auto", f"{DEVICE_NAMES}; auto takes the fastest", device_name)
    speed: str = _option(
        "near",
        "exact is float32; near is half precision where the device is fast at it; compiled also compiles",
        _one_of(*SPEEDS),
    )
    model_memory_gb: float = _option(
        0.0, "GB that loaded models may take; 0 is half of the device's memory", _gigabytes
    )
    offline: bool = _option(False, "never use the network", _switch)
    ai_label: bool = _option(
        True, "mark pictures as made by a trained model, as IPTC's DigitalSourceType in XMP", _switch
    )
    max_upload_mb: int = _option(20, "largest file that may be uploaded, in MB", _whole(1, 1000))
    max_waiting: int = _option(
        64, "jobs that may wait, over all users; a user's first job always may", _whole(1, 10_000)
    )
    max_waiting_per_user: int = _option(16, "jobs of one user that may wait", _whole(1, 10_000))
    max_waiting_per_address: int = _option(32, "jobs of one address that may wait, in public mode", _whole(1, 10_000))
    max_job_size: int = _option(
        2000,
        "largest job in public mode, in megapixel steps: megapixels × steps × pictures × (1 + control layers)",
        _whole(1, 1_000_000),
    )
    max_visitor_mb: int = _option(
        200,
        "MB of photos and drawings that are kept for one visitor in public mode; the oldest go first",
        _whole(1, 1_000_000),
    )
    max_pictures_mb: int = _option(
        1000,
        "MB of finished pictures that are kept for one visitor in public mode; the oldest go first, favourites last",
        _whole(1, 1_000_000),
    )
    max_all_pictures_mb: int = _option(
        20_000,
        "MB of finished pictures of all visitors together in public mode; the oldest go first, favourites last",
        _whole(1, 100_000_000),
    )
    max_sweeps_mb: int = _option(
        5000,
        "MB of what grids and batches of all visitors keep besides their pictures, in public mode; the oldest go first",
        _whole(1, 100_000_000),
    )
    max_drafts_mb: int = _option(
        2000,
        "MB of photos and drawings that pages work on, of all visitors; those that were not used for longest go first",
        _whole(1, 100_000_000),
    )
    max_uploads_mb: int = _option(
        2000,
        "MB of uploaded files and of files packed for a download; the oldest go first, and each after a day, in public "
        "mode after an hour",
        _whole(1, 100_000_000),
    )
    max_thumbnails_mb: int = _option(
        500, "MB of thumbnails; those that were not shown for longest go first", _whole(1, 1_000_000)
    )
    max_history: int = _option(
        1000, "jobs that the history holds; the oldest go first, their pictures stay", _whole(1, 1_000_000)
    )
    max_history_mb: int = _option(
        1000, "MB of photos and maps of the jobs in the history; the oldest jobs go first", _whole(1, 1_000_000)
    )
    max_hourly_mb: int = _option(
        1000, "MB that one address may send within an hour, in public mode", _whole(1, 1_000_000)
    )
    max_requests: int = _option(
        20, "requests a second from one visitor in public mode, twice as many from one address", _whole(1, 10_000)
    )
    engine: str = _option(
        "process",
        "where models run: in a process that is started again when it dies, or in a thread of this one (ZeroGPU)",
        _one_of(*ENGINES),
    )

    @property
    def trainings_dir(self) -> Path:
        """The folder of all trainings, a folder each."""
        return self.output_dir / "trainings"

    @property
    def studies_dir(self) -> Path:
        """The folder of all studies, a folder each."""
        return self.output_dir / "studies"

    @property
    def uploads(self) -> Path:
        """The app's own folder of uploads and of files packed for a download."""
        return self.cache_folder / "uploads"

    @property
    def is_local(self) -> bool:
        """The app is one person's: whoever uses it may see what was made before, and name any model."""
        return self.is_on_loopback if self.public is None else not self.public

    @property
    def lets_download(self) -> bool:
        """Whoever uses the app may download models onto the server."""
        return self.is_local or self.allow_downloads

    @property
    def cache_folder(self) -> Path:
        """Folder of what can be made again; in `output_dir` for a user without a home."""
        try:
            return Path(self.cache_dir).expanduser()
        except RuntimeError:  # no HOME, and no entry in the system's list of users
            return self.output_dir / HOMELESS

    @property
    def prefix(self) -> str:
        """The path of `root_path`, without a slash at its end."""
        return urlsplit(self.root_path).path

    @property
    def is_on_loopback(self) -> bool:
        """Only this machine can reach the app."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one sentence, without the usage."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of the choices, with the nearest one."""
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            hint = did_you_mean(str(value), choices)
            raise argparse.ArgumentError(action, f"there is no {value!r}{hint}; choose one of: {', '.join(choices)}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.\n")


GRADIO_VARIABLES: Mapping[str, str] = MappingProxyType(
    {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT", "root_path": "GRADIO_ROOT_PATH"}
)
"""Variables of Gradio itself; a CNET_… variable wins over them."""


GRADIO_KEPT = ("GRADIO_TEMP_DIR", "GRADIO_HEARTBEAT_INTERVAL")
"""Variables of Gradio that it reads itself."""
NO_PROXY = ("no_proxy", "NO_PROXY")
HIDDEN = ("NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEM")
"""SYSTEM names a Space, whose files Gradio would watch for changes by a package that only ZeroGPU has."""


def environment_variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable that gives a setting, CNET_… before Gradio's; None where neither does."""
    variables = (f"CNET_{name.upper()}", GRADIO_VARIABLES.get(name, ""))
    return next((variable for variable in variables if variable in environ), None)


def process_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that libraries, which read no settings, need to obey them."""
    offline = {"CNET_OFFLINE": "1"} if settings.offline else {}
    own = not os.environ.get("GRADIO_TEMP_DIR") and _can_write(
        settings.uploads
    )  # else temporary files are for uploads too
    uploads = {"GRADIO_TEMP_DIR": str(settings.uploads)} if own else {}
    return offline | uploads | {"CNET_PUBLIC": "0" if settings.is_local else "1"}


def command_environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a command that the app starts: it finds the project from any folder, and obeys the settings."""
    paths = [str(ROOT), *filter(None, [environ.get("PYTHONPATH")])]
    return {**environ, **process_variables(settings), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _can_write(folder: Path) -> bool:
    """Return whether a folder is writable, or can be made."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


@contextmanager
def without_surroundings(environ: MutableMapping[str, str] = os.environ) -> Generator[None]:
    """Import Gradio and let it listen inside, where variables neither change nor end that.

    On import and for a request to its own address Gradio creates HTTP clients. These fail for a SOCKS proxy without its
    package, a proxy of an unknown scheme, an unusual NO_PROXY and a file of certificates that is not there; a working proxy
    would be asked for 127.0.0.1. Gradio's own variables would overrule the settings. Downloads, later, have all of them.
    """
    hidden = [name for name in environ if name.upper() in HIDDEN or name.startswith("GRADIO_")]
    kept = {name: environ.pop(name) for name in hidden if name not in GRADIO_KEPT}
    environ.update(dict.fromkeys(NO_PROXY, "*"))  # also against the proxies in the settings of Windows and macOS
    try:
        yield
    finally:
        for name in NO_PROXY:
            environ.pop(name, None)
        environ.update(kept)


def settings_for_command(**given: Any) -> Settings:
    """Return the settings of the environment, with those that a command line gives; None is not given."""
    return dataclasses.replace(read_settings(()), **{name: value for name, value in given.items() if value is not None})


def read_settings(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ, prog: str = "app.py"
) -> Settings:
    """Defaults, then the environment, then flags. A wrong value ends the process with exit code 2 and one sentence."""
    parser = Parser(prog=prog, description="ControlNet Studio in the browser.")
    for option in dataclasses.fields(Settings):
        variable = f"CNET_{option.name.upper()}"
        parse = option.metadata["parse"]
        source = environment_variable(option.name, environ)
        default = _parsed(parser, source, parse, environ[source]) if source else option.default
        if not source and environ.get("SPACE_ID"):
            default = _of_space(environ).get(option.name, default)
        extra: dict[str, Any] = {"nargs": "?", "const": True} if parse is _switch else {"metavar": "VALUE"}
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=parse,
            default=default,
            help=f"{option.metadata['help']} ({variable}; default {option.default or 'none'})".replace("%", "%%"),
            **extra,
        )
    return Settings(**vars(parser.parse_args(argv)))


def _of_space(environ: Mapping[str, str]) -> dict[str, Any]:
    """A Space's visitors are strangers, and come from outside through its proxy."""
    own = {"hosts": environ.get("SPACE_HOST", ""), "frames": SPACE_FRAMES}
    return {"host": "0.0.0.0", "public": True, "proxies": 1} | own


def _parsed(parser: Parser, variable: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        parser.exit(2, f"The environment variable {variable} is wrong: {error}; correct it or leave it out.\n")
