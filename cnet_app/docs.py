"""Writes what can be derived: pages on conditions, commands, control and samplers, and tables of README.md, THIRD_PARTY.md and docs/models.md.

`python -m cnet_app.docs` rewrites them; a test fails when they are stale.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from annotators.base import Annotator, Parameter, parameters
from annotators.maps.kinds import MapKind
from annotators.registry import annotator, typed
from cnet_app.api.endpoints import NAMES, Endpoints
from cnet_app.cli import COMMANDS, build_parser
from cnet_app.docs_control import CONTROL_ADVICE, CONTROL_INTRODUCTION
from cnet_app.docs_controlnets import controlnets_table, source_text
from cnet_app.docs_memory import families_table, memory_part
from cnet_app.docs_samplers import SAMPLERS_ADVICE, SAMPLERS_INTRODUCTION
from cnet_app.docs_tables import folders_table, markdown_table
from cnet_app.map_pictures import PHOTO, picture_name, write_map_pictures
from cnet_app.registry.conditions import CONDITIONS, Condition
from cnet_app.registry.measures import MEASURES
from cnet_app.registry.modes import CUSTOM, MODES, SD_PLACES, Mode
from cnet_app.registry.presets import FEW_STEPS
from cnet_app.registry.samplers import SAMPLERS, Sampler, works_with
from cnet_app.settings import ROOT, Settings
from cnet_app.training.trainable import TRAINABLES
from cnet_app.ui.studio import WEB
from models.catalogue.catalog import CATALOG, TITLES, Weights, entry
from models.catalogue.licences import LICENCES
from models.families import FAMILIES
from models.family_facts import Prediction

NOTE = "<!-- Written by `make docs` from the code; edit there. -->"
CLI_INTRODUCTION = """\
`python -m cnet_app COMMAND`, with `.venv/bin/python` where `make run` made the environment. Exit codes: 0, 2 for a mistake
in what was given (one sentence on standard error says which), 3 where weights are missing, 1 for a fault of the program."""


MEASURES_INTRODUCTION = """\
How closely a picture follows its control image: it is annotated again, and both maps are compared. A condition that is not
listed has no measure, since its pictures are not meant to resemble their map. The agreement is the same for all, so that
pictures can be sorted: 1 at the best value, 0 at the value of a blank map and beyond, a straight line between."""

PREDICTION_TITLES: Mapping[Prediction, str] = {
    "epsilon": "the noise",
    "v_prediction": "the velocity (v)",
    "flow": "the flow from picture to noise",
}
MAP_PICTURES = Path("docs/images/maps")
WEIGHTS_DRAWING = "images/control_weights.svg"


def create_documents(root: Path = ROOT) -> dict[Path, str]:
    """Every derived file and the text it should have."""
    whole = {
        Path("docs/conditions.md"): conditions_page(),
        Path("docs/cli.md"): cli_page(),
        Path("docs/control.md"): control_page(),
        Path("docs/samplers.md"): samplers_page(),
        Path(f"docs/{WEIGHTS_DRAWING}"): weights_drawing(),
    }
    parts = {
        Path("README.md"): {"conditions": conditions_table()},
        Path("docs/studio.md"): {"keys": keys_table()},
        Path("docs/api.md"): {"endpoints": endpoints_table()},
        Path("docs/models.md"): {
            "folders": folders_table(),
            "presets": presets_table(),
            "memory": memory_part(),
            "families": families_table(),
        },
        Path("docs/training.md"): {"trained": trained_table()},
        Path("THIRD_PARTY.md"): {"weights": weights_table(), "licences": licences_table()},
    }
    filled = {path: fill((root / path).read_text(encoding="utf-8"), tables) for path, tables in parts.items()}
    return whole | filled


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The text with each part between its markers `<!-- NAME -->` and `<!-- /NAME -->`."""
    for name, part in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(pattern, lambda found, part=part: f"{found[1]}{part}{found[2]}", text, flags=re.DOTALL)
        assert count == 1, f"the markers of {name} are missing"
    return text


def conditions_table() -> str:
    """Return the README's table of conditions."""
    head = ("Condition", "What it keeps", "Annotators", "Embedded", "SD 1.5 ControlNet", "Its licence")
    rows = [
        (
            f"**{row.title}**",
            row.help,
            ", ".join(annotator(id).title for id in row.annotators),
            "yes" if "embedded" in row.controlnets else "-",
            f"`{entry(row.controlnets['sd15']).repo}`" if "sd15" in row.controlnets else "-",
            entry(row.controlnets["sd15"]).licence if "sd15" in row.controlnets else "-",
        )
        for row in CONDITIONS
    ]
    return markdown_table(head, rows)


def keys_table() -> str:
    """Return the table of the page's keys, read from its script."""
    rows = re.findall(
        r'title: "([^"]+)", keys: "([^"]+)"(?:, also: "([^"]+)")?',
        (WEB / "core" / "keys.js").read_text(encoding="utf-8"),
    )
    return markdown_table(
        ("Key", "What it does"), ((" or ".join(f"`{key}`" for key in keys if key), title) for title, *keys in rows)
    )


def trained_table() -> str:
    """Return the table of the families whose ControlNets are trained here."""
    rows = [
        (
            facts.title,
            " or ".join(PREDICTION_TITLES[one] for one in facts.predictions),
            ", ".join(f"`{name}`" for name in TRAINABLES[facts.backbone].fixed) or "-",
        )
        for facts in FAMILIES.values()
        if facts.backbone in TRAINABLES
    ]
    return markdown_table(("Base", "Learns to predict", "Settings without a meaning for it, which are refused"), rows)


def conditions_page() -> str:
    """Return the page with a section for each condition, and the table of measures."""
    sections = [_condition_section(row) for row in CONDITIONS]
    return "\n".join(
        ["# Conditions", NOTE, "", *sections, "## Measures", "", MEASURES_INTRODUCTION, "", measures_table()]
    )


def endpoints_table() -> str:
    """Return the table of docs/api.md: each endpoint with its arguments."""
    functions = {f"`/{name}`": getattr(Endpoints, name) for name in NAMES}
    rows = [(name, _arguments(one), " ".join(str(inspect.getdoc(one)).split())) for name, one in functions.items()]
    return markdown_table(("Endpoint", "Arguments, in this order", "What it does"), rows)


def _arguments(function: Callable[..., Any]) -> str:
    given = [
        one for name, one in inspect.signature(function).parameters.items() if name not in ("self", "session", "admit")
    ]
    return ", ".join(f"`{one.name}`" if one.default is one.empty else f"[`{one.name}`]" for one in given)


def measures_table() -> str:
    """Return the measures of control fidelity, with their conditions."""
    rows = [
        (
            f"`{row.id}`",
            row.label,
            row.help,
            f"{row.range[0]:g} to {row.range[1]:g}",
            "higher" if row.higher_is_better else "lower",
            f"{row.blank_value:g}",
            ", ".join(f"`{one.id}`" for one in CONDITIONS if row.id in (one.measure, *one.more_measures))
            or "in `evaluate` alone",
        )
        for row in MEASURES
    ]
    return markdown_table(("Measure", "Title", "Meaning", "Range", "Better", "Agreement is 0 at", "Conditions"), rows)


def control_page() -> str:
    """Return docs/control.md: the modes of control and when to take which."""
    rows = [(f"`{row.id}`", row.title, row.help, _other_side(row)) for row in MODES.values()]
    table = markdown_table(("Mode", "Title", "What it does", "Negative prompt's side"), rows)
    drawing = f"![How much each block counts in every mode]({WEIGHTS_DRAWING})"
    sheet = (
        "The embedded model on one map under every mode, guidance 3: the map, then four seeds.\n\n"
        "![Pictures under every mode](sheets/modes.jpg)"
    )
    return "\n\n".join(["# Control", NOTE, CONTROL_INTRODUCTION, table.rstrip(), drawing, sheet, f"{CONTROL_ADVICE}\n"])


def samplers_page() -> str:
    """Return docs/samplers.md: each sampler and the families it works with."""
    titles = [facts.title for facts in FAMILIES.values()]
    rows = [
        (
            f"`{row.id}`",
            row.title.partition(",")[0],
            *("ok" if works_with(row, facts) else "not for" for facts in FAMILIES.values()),
            _sampler_note(row),
        )
        for row in SAMPLERS
    ]
    table = markdown_table(("Sampler", "Title", *titles, "Note"), rows)
    return "\n\n".join(["# Samplers", NOTE, SAMPLERS_INTRODUCTION, table.rstrip(), f"{SAMPLERS_ADVICE}\n"])


def _sampler_note(row: Sampler) -> str:
    notes = {
        row.title.partition(",")[2].strip(): "," in row.title,
        "cannot start from pure noise": not row.from_pure_noise,
        f"at most {row.most_steps} steps": row.most_steps > 0,
        "has an `eta`": row.has_eta,
    }
    return "; ".join(note for note, holds in notes.items() if holds)


def _other_side(row: Mode) -> str:
    if row.id == CUSTOM:
        return "its own numbers"
    return "as well" if row.both_sides else "not run"


def weights_drawing(modes: Iterable[Mode] = tuple(MODES.values())) -> str:
    """Return an SVG with a bar a block for every mode, from the shallowest block to the middle one."""
    bars, left, top, height, columns = 14, 12, 34, 80, 3
    rows = [row for row in modes if row.id != CUSTOM]
    panel, line = bars * len(SD_PLACES) + 2 * left, top + height + 30
    lines = -(-len(rows) // columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * panel}" height="{lines * line}" '
        'font-family="sans-serif" font-size="12" fill="#888">'
    ]
    for number, row in enumerate(rows):
        weights = row.weights(SD_PLACES)
        x, y = number % columns * panel + left, number // columns * line + top
        parts.append(f'<text x="{x}" y="{y - 10}">{row.id}</text>')
        for block, weight in enumerate(weights):
            tall = height * weight / max(1, *weights)
            parts.append(
                f'<rect x="{x + bars * block}" y="{y + height - tall:.1f}" width="{bars - 3}" height="{tall:.1f}" '
                'fill="#f97316"/>'
            )
        parts.append(f'<text x="{x}" y="{y + height + 16}">{weights[0]:.3g} … {weights[-1]:.3g}</text>')
    return "\n".join([*parts, "</svg>", ""])


def cli_page() -> str:
    """Every command with its arguments, and the settings of the app."""
    parser = build_parser([command.name for command in COMMANDS])
    commands = [section for name, sub in _subcommands(parser) for section in _command_sections(name, sub)]
    settings = [
        (f"`--{option.name.replace('_', '-')}`", f"`CNET_{option.name.upper()}`", option.metadata["help"])
        for option in fields(Settings)
    ]
    app = ["## app.py", "", markdown_table(("Flag", "Variable", "Meaning"), settings)]
    return "\n".join(["# Command line", NOTE, "", CLI_INTRODUCTION, "", *commands, *app])


def weights_table() -> str:
    """Every file that can be downloaded, its source and licence."""
    rows = [(f"`{row.id}`", source_text(row), row.size_words, _licence(row)) for row in CATALOG]
    return markdown_table(("Weights", "Source", "Size", "Licence"), rows)


def licences_table() -> str:
    """Return the table of the weights' licences."""
    rows = [(f"[{name}]({row.link})" if row.link else name, row.use) for name, row in LICENCES.items()]
    return markdown_table(("Licence", "What it allows"), rows)


def presets_table() -> str:
    """Every preset for few steps."""
    head = ("Preset", "Title", "Base", "LoRA", "Sampler", "Steps", "Guidance", "What to know")
    rows = [
        (
            f"`{row.id}`",
            row.title,
            TITLES[row.family],
            f"`{row.lora}` ({entry(row.lora).size_words})",
            f"`{row.scheduler}`",
            str(row.num_inference_steps),
            f"{row.guidance_scale:g}",
            row.help,
        )
        for row in FEW_STEPS
    ]
    return markdown_table(head, rows)


def _condition_section(row: Condition) -> str:
    parts = [f"## {row.title} (`{row.id}`)", f"{row.help} The map is {_reading(row.kind)}.", *_map_pictures(row)]
    parts += [_annotator_section(annotator(id)) for id in row.annotators]
    parts += ["ControlNets:", controlnets_table(row)]
    return "\n\n".join(parts)


def _reading(kind: MapKind) -> str:
    """Return the rules for maps of a kind."""
    return kind.looks + ("; it is resized to the nearest pixel and stored without loss" if kind.nearest else "")


def _map_pictures(row: Condition) -> list[str]:
    """The example and its maps side by side, of the annotators that ran where the pictures were made."""
    named = [("The example", PHOTO), *((annotator(id).title, id) for id in row.annotators)]
    there = [(title, of) for title, of in named if (ROOT / MAP_PICTURES / picture_name(row, of)).exists()]
    if not there:
        return []
    head = [title for title, _ in there]
    cells = [f"![{title}]({MAP_PICTURES.relative_to('docs')}/{picture_name(row, of)})" for title, of in there]
    return [markdown_table(head, [cells]).rstrip()]


def _needed(row: Weights) -> str:
    """'`hed`: ControlNetHED.pth, 29.4 MB, Apache-2.0 ([source])'."""
    largest = max(row.files, key=lambda file: file.size or 0)
    return f"`{row.id}`: {largest.name}, {row.size_words}, {_licence(row)}, {source_text(row)}"


def _annotator_section(kind: type[Annotator]) -> str:
    needs = "; ".join(_needed(entry(id)) for id in kind.weights) or "nothing: it runs at once"
    rows = [
        (f"`{name}`", typed(limit.default), _allowed(limit), limit.help) for name, limit in parameters(kind).items()
    ]
    text = f"### {kind.title} (`{kind.id}`)\n\nNeeds {needs}. {kind.note}".rstrip()
    return (
        f"{text}\n\n{markdown_table(('Parameter', 'Default', 'Allowed', 'Meaning'), rows).rstrip()}" if rows else text
    )


def _allowed(limit: Parameter) -> str:
    return ", ".join(limit.choices) or (
        "true, false" if isinstance(limit.default, bool) else limit.range_text().strip()
    )


def _subcommands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    """Commands of a parser by name; argparse has no public way to ask."""
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001
    return [pair for action in actions for pair in action.choices.items()]


def _command_sections(name: str, parser: argparse.ArgumentParser) -> list[str]:
    """A section a command; one for each action where it has several."""
    inner = _subcommands(parser)
    if inner:
        return [section for action, sub in inner for section in _command_sections(f"{name} {action}", sub)]
    rows = [
        (f"`{' '.join(filter(None, (', '.join(a.option_strings), _metavar(a))))}`", (a.help or "") % vars(a))
        for a in parser._actions  # noqa: SLF001
        if not isinstance(a, argparse._HelpAction)  # noqa: SLF001
    ]
    return [
        f"## {name}",
        "",
        *([parser.description, ""] if parser.description else []),
        markdown_table(("Argument", "Meaning"), rows),
    ]


def _metavar(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    return str(action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper()))


def _licence(row: Weights) -> str:
    return (
        f"{row.licence} (non-commercial)" if row.non_commercial and "non-commercial" not in row.licence else row.licence
    )


def main() -> None:
    """Write what is stale; with --maps the pictures of maps first."""
    parser = argparse.ArgumentParser(prog="python -m cnet_app.docs", description=main.__doc__)
    ids = [row.id for row in CONDITIONS]
    parser.add_argument(
        "--maps", nargs="*", choices=ids, metavar="CONDITION",
        help="write the pictures of docs/conditions.md too, all or those of the named conditions",
    )  # fmt: skip
    named = parser.parse_args().maps
    if named is not None:
        write_map_pictures(ROOT / MAP_PICTURES, [row for row in CONDITIONS if row.id in (named or ids)])
    for path, text in create_documents().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
