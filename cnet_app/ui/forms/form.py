"""A group of components by field name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cnet_app.ui.gradio_seams import Component, Updates, Values


class Form:
    """Components by the name of the field that each of them fills."""

    def __init__(self, fields: Mapping[str, Component]) -> None:
        self.fields = fields

    def __getitem__(self, name: str) -> Component:
        return self.fields[name]

    @property
    def components(self) -> set[Component]:
        """All components, as inputs of a listener."""
        return set(self.fields.values())

    def read(self, values: Values) -> dict[str, Any]:
        """Return the posted values by field name."""
        return {name: values[component] for name, component in self.fields.items()}

    def updates(self, given: Mapping[str, Any]) -> Updates:
        """Return new values or settings by component, given by field name."""
        return {self.fields[name]: value for name, value in given.items()}

    def changes(self, names: Iterable[str] | None = None) -> list[Any]:
        """Return the change events of these fields, or of all."""
        return [self.fields[name].change for name in (self.fields if names is None else names)]
