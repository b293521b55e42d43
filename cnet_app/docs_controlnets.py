"""The tables of docs/conditions.md on ControlNets: which one each condition has for which base."""

from __future__ import annotations

from cnet_app.docs_tables import markdown_table
from cnet_app.registry.conditions import Condition, base_controlnets
from models.catalogue.catalog import CATALOG, Weights, entry


def controlnets_table(row: Condition) -> str:
    """Return the ControlNet of a condition for each family, and for bases that have another one than their family."""
    rows = [(family, f"`{id}`", source_text(entry(id))) for family, id in row.controlnets.items()]
    rows += _rows_of_bases(row)
    rows += [(one, "none", "the base reads the map itself") for one in row.families if one not in row.controlnets]
    return markdown_table(("Base model", "Weights", "Source"), rows)


def source_text(row: Weights) -> str:
    """Return a link to a row's repository, or the folder that ships with the project."""
    return f"[{row.repo}](https://huggingface.co/{row.repo})" if row.repo else f"ships in `models/{row.folder}`"


def _rows_of_bases(row: Condition) -> list[tuple[str, str, str]]:
    by_base, rows = base_controlnets(row.id), list[tuple[str, str, str]]()
    for base in (one for one in CATALOG if one.kind == "base" and one.family):
        own, of_family = by_base.get(base.id), row.controlnets.get(base.family or "")
        if own and own != of_family:
            rows.append((base.id, f"`{own}`", source_text(entry(own))))
        elif of_family and not own:
            rows.append((base.id, "none", "those of its family do not fit it"))
    return rows
