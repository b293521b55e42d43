"""Settings of the web app: one frozen object from the environment (CNET_…) and the flags, which win."""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from models.names import DEVICE_NAMES, did_you_mean, is_device_name

SPEEDS = ("exact", "near", "compiled")
SPACE_FRAMES = "https://huggingface.co https://*.huggingface.co https://*.hf.space"
ENGINES = ("process", "thread")


def _option(default: Any, help: str, parse: Callable[[str], Any] = str) -> Any:
    """A field that is also the flag --its-name and the variable CNET_ITS_NAME."""
    return field(default=default, metadata={"help": help, "parse": parse})


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isdecimal() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to {maximum}")
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
    hosts: str = _option(
        "",
        "names under which the app is reached, joined by commas; in local mode localhost and plain addresses always are",
    )
    frames: str = _option(
        "", "sites whose pages may show the app in a frame, joined by spaces, such as https://example.org"
    )
    proxies: int = _option(
        0, "reverse proxies in front of the app, which tell it the visitors' addresses", _whole(0, 10)
    )
    auth: str = _option(
        "", "file of the users who may log in, a line NAME:HASH each, as `python -m cnet_app.ui.users` writes"
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
    def is_local(self) -> bool:
        """The app is one person's: whoever uses it may see what was made before, and name any model."""
        return self.is_on_loopback if self.public is None else not self.public

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


GRADIO_VARIABLES: Mapping[str, str] = MappingProxyType({"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"})
"""Variables of Gradio itself; a CNET_… variable wins over them."""


def environment_variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable that gives a setting, CNET_… before Gradio's; None where neither does."""
    variables = (f"CNET_{name.upper()}", GRADIO_VARIABLES.get(name, ""))
    return next((variable for variable in variables if variable in environ), None)


def process_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that libraries, which read no settings, need to obey them."""
    offline = {"CNET_OFFLINE": "1"} if settings.offline else {}
    return loopback_without_proxy(settings.host) | offline | {"CNET_PUBLIC": "0" if settings.is_local else "1"}


def command_environment(settings: Settings, root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a command that the app starts: it finds the project at `root`, and obeys the settings."""
    paths = [str(root), *filter(None, [environ.get("PYTHONPATH")])]
    return {**environ, **process_variables(settings), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def loopback_without_proxy(host: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that keep a proxy, if there is one, out of requests to this machine and to `host`."""
    given = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    names = [name.strip() for name in given.split(",") if name.strip()]
    without = ",".join(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1", host]))
    return {"no_proxy": without, "NO_PROXY": without}


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
