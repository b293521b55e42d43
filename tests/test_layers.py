"""The floors and walls of the house, over the imports; and that importing a module does nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import FOLDERS, ROOT, dotted, imports, modules, tree

FLOORS = {
    "models": 1,
    "models.errors": 0,
    "models.families": 0,
    "models.family_facts": 0,
    "models.environment": 0,
    "models.downloads": 0,
    "models.catalogue.catalog": 0,
    "models.catalogue.row": 0,
    "models.catalogue.rows": 0,
    "models.catalogue.licences": 0,
    "models.names": 0,
    "models.console": 0,
    "models.files": 0,
    "models.catalogue.places": 0,
    "models.catalogue.weights": 0,
    "models.stopping": 0,
    "annotators": 2,
    "annotators.base": 1,
    "annotators.maps.kinds": 1,
    "annotators.runtime": 1,
    "annotators.sources": 1,
    "cnet_app.settings": 2,
    "cnet_app.registry": 3,
    "cnet_app.request": 4,
    "cnet_app.maps": 5,
    "cnet_app.diffusion": 5,
    "cnet_app.fidelity": 5,
    "cnet_app.training": 6,
    "cnet_app.evaluation": 6,
    "cnet_app.embedded": 6,
    "cnet_app.engine": 7,
    "cnet_app.jobs": 8,
    "cnet_app.api": 9,
    "cnet_app.ui": 10,
    "cnet_app.cli": 10,
    "cnet_app.map_pictures": 11,
    "cnet_app.example_pictures": 11,
    "cnet_app.docs_control": 11,
    "cnet_app.docs_controlnets": 11,
    "cnet_app.docs_memory": 11,
    "cnet_app.docs_samplers": 11,
    "cnet_app.docs_tables": 10,
    "cnet_app.__main__": 11,
    "app": 11,
    "cnet_app.docs": 12,
}
"""A module imports from lower floors, or from its own folder on the same floor. The longest matching name counts."""

EMPTY = {"cnet_app"}
"""Stands on no floor: a bare package."""


def _place(module: str) -> str:
    """The row of FLOORS a module belongs to."""
    places = [name for name in FLOORS if module == name or module.startswith(name + ".")]
    assert places, f"{module} stands on no floor; give it one in tests/test_layers.py"
    return max(places, key=len)


def _folder(module: str) -> str:
    """The folder that counts as one's own: `annotators`, or a folder of cnet_app with all below it."""
    return ".".join(module.split(".")[: 2 if module.startswith("cnet_app.") else 1])


def _all_imports() -> list[tuple[str, str]]:
    return [(module, found) for module, path in modules().items() for found in imports(path)]


def test_a_module_imports_from_lower_floors_or_its_own_floor_and_folder() -> None:
    own = {module: path for module, path in modules().items() if module not in EMPTY}
    wrong = [
        f"{module} (floor {FLOORS[_place(module)]}) imports {found} (floor {FLOORS[_place(found)]})"
        for module, found in _all_imports()
        if found in own and module in own
        if FLOORS[_place(found)] > FLOORS[_place(module)]
        or (FLOORS[_place(found)] == FLOORS[_place(module)] and _folder(found) != _folder(module))
    ]
    assert not wrong, "\n".join(wrong)


def test_models_import_nothing_of_ours() -> None:
    strangers = {"annotators", "cnet_app", "gradio"}
    assert not [pair for pair in _all_imports() if pair[0].startswith("models") and pair[1].split(".")[0] in strangers]


def test_annotators_know_nothing_of_the_app() -> None:
    strangers = {"cnet_app", "gradio", "diffusers"}
    wrong = [pair for pair in _all_imports() if pair[0].startswith("annotators") and pair[1].split(".")[0] in strangers]
    assert not wrong


def test_only_the_ui_knows_gradio() -> None:
    wrong = [pair for pair in _all_imports() if pair[1].split(".")[0] == "gradio"]
    assert not [module for module, _ in wrong if module != "app" and not module.startswith("cnet_app.ui")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import cnet_app.registry.conditions, cnet_app.registry.modes, cnet_app.registry.presets",
        "import annotators.registry, models.catalogue.catalog, cnet_app.request.generation",
        "from cnet_app.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from cnet_app.cli import main\ntry: main(['generate', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_light_doors_load_nothing_heavy(code: str) -> None:
    heavy = ["torch", "gradio", "diffusers", "transformers", "controlnet_aux"]
    check = f"{code}\nimport sys\nassert not set({heavy}) & set(sys.modules), set({heavy}) & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


WATCH_IMPORTS = """
import importlib, json, os, sys, threading, warnings
root, names = sys.argv[1], sys.argv[2:]
warnings.simplefilter("ignore")
KINDS = {"os.mkdir", "os.putenv", "os.rename", "os.remove", "os.chdir", "socket.connect", "socket.bind",
         "subprocess.Popen", "open"}
effects = []

def watch(event, arguments):
    if event in KINDS and (event != "open" or writes(*arguments)):
        note(f"{event} {arguments[:1]}")

def writes(path, mode, flags):
    return any(c in mode for c in "wax+") if mode else bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

def note(effect):
    frame = sys._getframe(1)
    while frame and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    # The innermost module that is being imported answers for the effect: other libraries may do as they please.
    if frame and frame.f_code.co_filename.startswith(root) and "site-packages" not in frame.f_code.co_filename:
        effects.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {effect}")

class WatchedThread(threading.Thread):
    def start(self):
        note("thread")
        super().start()

threading.Thread = WatchedThread
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(json.dumps(effects))
"""


@pytest.mark.slow
def test_importing_any_module_has_no_effect(tmp_path: Path) -> None:
    names = [name for name in modules() if not name.endswith("__main__")]
    command = [sys.executable, "-B", "-c", WATCH_IMPORTS, str(ROOT), *names]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def _functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (module, node)
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_modules_and_functions_stay_small() -> None:
    long = [f"{m} has {len(path.read_text().splitlines())} lines" for m, path in modules().items()]
    assert not [text for text in long if int(text.split()[-2]) > 400]
    lengths = [(f"{module}.{node.name}", (node.end_lineno or 0) - node.lineno + 1) for module, node in _functions()]
    assert not [f"{name} has {lines} lines" for name, lines in lengths if lines > 100]


def test_no_star_imports_and_no_globals() -> None:
    found = [
        f"{dotted(path)}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Global) or (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
    ]
    assert not found


ENVIRONMENT = {"models.environment", "cnet_app.settings", "app"}
"""The modules that touch the environment: the two that read it, and app.py, which sets variables before anything is loaded."""


def test_the_environment_is_read_in_two_modules() -> None:
    touched = {
        module
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    }
    assert touched == ENVIRONMENT


def test_every_folder_is_looked_at() -> None:
    assert {name.split(".")[0] for name in modules()} >= set(FOLDERS)
