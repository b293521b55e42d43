"""No call of the source runs code out of a file: pickles are read as tensors alone, and no repository brings its own code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import ROOT

SOURCES = [path for name in ("models", "annotators", "cnet_app") for path in sorted((ROOT / name).rglob("*.py"))]
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN = {
    "pickle.load", "pickle.loads", "joblib.load", "dill.load", "marshal.loads", "yaml.load", "yaml.unsafe_load", "os.system",
    "torch.hub.load", "shutil.unpack_archive",
}  # fmt: skip
FORBIDDEN_METHODS = {"extract", "extractall", "load_dataset_builder"}


def name_of(node: ast.expr) -> str:
    """The dotted name of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(source: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def faults(source: str) -> Iterator[str]:
    """Yield what a source calls that could run code of a file or of another host."""
    for call in calls(source):
        name = name_of(call.func)
        given = {word.arg: word.value for word in call.keywords}
        if name in FORBIDDEN | FORBIDDEN_NAMES or name.split(".")[-1] in FORBIDDEN_METHODS:
            yield name
        if name == "torch.load" and not _is(given.get("weights_only"), True):
            yield "torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and not _is(given.get("allow_pickle", ast.Constant(False)), False):
            yield "np.load of pickles"
        if "trust_remote_code" in given and not _is(given["trust_remote_code"], False):
            yield "trust_remote_code"
        if "custom_pipeline" in given:
            yield "custom_pipeline"
        if "shell" in given and not _is(given["shell"], False):
            yield "a shell"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.slow
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_run(path: Path) -> None:
    assert not list(faults(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=chosen)", "pickle.load(file)",
        "np.load(path, allow_pickle=True)", "AutoModel.from_pretrained(name, trust_remote_code=True)", "archive.extractall(folder)",
        "DiffusionPipeline.from_pretrained(name, custom_pipeline=name)", "subprocess.run(text, shell=True)", "eval(text)",
    ],
)  # fmt: skip
def test_such_a_call_would_be_found(source: str) -> None:
    assert list(faults(source))
