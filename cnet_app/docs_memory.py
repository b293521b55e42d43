"""The parts of docs/models.md on memory: what each family needs, and the ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

from cnet_app.docs_tables import markdown_table
from cnet_app.settings import Settings
from models.catalogue.catalog import entry
from models.catalogue.sizes import whole_sizes
from models.families import FAMILIES
from models.machine.ladder import LADDER, RESERVE, needed_bytes

HALF = 2
"""Bytes of a number in half precision."""
CARDS = (4, 6, 8, 10, 12, 16, 24, 32, 48, 80)
"""Memory of usual GPUs in GB."""


COLUMNS: Mapping[str, str] = MappingProxyType(
    {"full": "All loaded", "text_offload": "Text encoders away", "model_offload": "One stage at a time"}
)
"""Heads of the columns, by rung."""


def families_table() -> str:
    """Return the table of docs/models.md: each family with its licence and the memory that it needs, computed."""
    rows: list[tuple[str, ...]] = []
    for facts in FAMILIES.values():
        pixels, weights = facts.defaults.size**2, whole_sizes(facts.parameters, HALF).weights
        columns = (
            _card(needed_bytes(rung, weights, pixels, HALF, int(facts.references)) + RESERVE)
            for rung in LADDER
            if rung.id in COLUMNS
        )
        millions = facts.parameters
        networks = f"{millions.network / 1000:.3g} + {millions.controlnet / 1000:.3g}"
        row = (
            f"`{facts.id}`",
            f"{facts.defaults.size} px",
            networks,
            f"{millions.text_encoders / 1000:.3g}",
            *columns,
            entry(facts.id).licence,
        )
        rows.append(row)
    head = (
        "Family",
        "Made for",
        "Network + ControlNet (billions)",
        "Text encoders (billions)",
        *COLUMNS.values(),
        "Licence",
    )
    return markdown_table(head, rows)


def _card(needed: int) -> str:
    """Bytes, and the smallest usual GPU that has them."""
    card = next((size for size in CARDS if size * 1e9 >= needed), None)
    return f"{needed / 1e9:.1f} GB: {f'{card} GB' if card else 'several GPUs'}"


def memory_part() -> str:
    """The ladder, and how much loaded models may take."""
    rows = [(f"`{rung.id}`", rung.message or "All of it is on the device, and nothing is given up.") for rung in LADDER]
    (share,) = (option.metadata["help"] for option in fields(Settings) if option.name == "model_memory_gb")
    stay = "Models stay loaded, for all tabs and users, and the least recently used makes room."
    return f"{markdown_table(('Rung', 'What it means'), rows)}\n{stay} `--model-memory-gb`: {share}.\n"
