"""What Windows has otherwise: modules, encodings, names and paths. Looked at from any system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue.local import find_local
from models.catalogue.resolve import NamedKind, resolve
from models.errors import InputError
from tests.source import imports, modules, tree

POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "readline"}
POSIX_NAMES = {
    "os": {
        "fork", "forkpty", "geteuid", "getuid", "getgid", "getpgid", "killpg", "setsid", "setuid", "setpgrp", "wait", "nice",
        "statvfs", "uname", "getloadavg", "chown", "lchown", "mkfifo", "mknod", "sched_getaffinity", "sched_setaffinity",
        "openpty", "ttyname", "sysconf", "confstr", "pread", "pwrite", "posix_fallocate", "sync", "WNOHANG", "O_DIRECTORY",
        "O_NOFOLLOW", "O_CLOEXEC", "O_SYNC",
    },
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGTSTP", "alarm", "setitimer", "pause"},
    "time": {"tzset", "clock_gettime"},
    "socket": {"AF_UNIX", "SO_REUSEPORT", "socketpair"},
    "asyncio": {"DefaultEventLoopPolicy"},
}  # fmt: skip
PATHS = [r"C:\models\net.safetensors", r"..\..\net.pth", r"\\host\share\net.safetensors", "C:net", "a|b", "CON", "NUL"]


def test_no_module_needs_what_windows_lacks() -> None:
    found = {(module, name) for module, path in modules().items() for name in imports(path) if name in POSIX_MODULES}
    assert not {(module, name) for module, name in found if not _asks_for_windows(modules()[module])}


def _asks_for_windows(path: Path) -> bool:
    """Whether a module's imports of POSIX modules stand below a question for the system."""
    tests = (node.test for node in tree(path).body if isinstance(node, ast.If))
    return any("sys.platform != 'win32'" in ast.unparse(test) for test in tests)


def test_no_module_uses_what_windows_lacks_without_asking_first() -> None:
    found = [
        f"{module}:{node.lineno} {node.value.id}.{node.attr}"
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.attr in POSIX_NAMES.get(node.value.id, ()) and f"{node.value.id}.{node.attr}" not in _asked(path)
    ]
    assert not found


def _asked(path: Path) -> set[str]:
    """What a module looks for with hasattr before it uses it."""
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and len(node.args) == 2)
    return {
        f"{ast.unparse(call.args[0])}.{ast.literal_eval(call.args[1])}"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "hasattr" and isinstance(call.args[1], ast.Constant)
    }


def test_every_text_file_is_opened_in_an_encoding_of_its_own() -> None:
    """Windows would take cp1252."""
    found = [
        f"{module}:{call.lineno} {ast.unparse(call)[:60]}"
        for module, path in modules().items()
        for call in _text_calls(path)
        if not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert not found


def _text_calls(path: Path) -> Iterator[ast.Call]:
    for call in ast.walk(tree(path)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in ("read_text", "write_text") or (name == "open" and "b" not in _mode(call) and not _is_foreign(call)):
            yield call


def _mode(call: ast.Call) -> str:
    """The mode of an open: the first constant that can be one."""
    values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    words = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return next((word for word in words if set(word) <= set("rwaxbt+")), "r")


def _is_foreign(call: ast.Call) -> bool:
    """Pictures and archives are opened too, by their libraries."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in (
        "Image",
        "Pillow",
        "os",
        "webbrowser",
        "zipfile",
        "tarfile",
        "archive",
    )


@pytest.mark.parametrize("kind", ["base", "vae", "controlnet", "lora", "ip_adapter"])
@pytest.mark.parametrize("name", PATHS)
def test_paths_of_windows_that_lead_nowhere_are_unknown_names(kind: NamedKind, name: str) -> None:
    with pytest.raises(InputError, match="There is no") as raised:
        resolve(name, kind)
    assert str(raised.value).count("\n") == 0
    if kind != "ip_adapter":
        assert find_local(kind, name) is None
