"""The title of an experiment, which applies to what it was given for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.gui.forms.component_form import ComponentForm


class RunTitle:
    """A title, and the components that it describes.

    A title from a file may refer to any field of any component, a typed title to data, model and
    optimizer. Where one of them has changed, the title does not apply.

    Args:
        components: the form of each kind of component.
    """

    def __init__(self, components: Mapping[str, ComponentForm]) -> None:
        self._components = components
        self._title, self._typed = "", False
        self._described: dict[str, Any] = {}

    def set(self, title: str, *, typed: bool) -> None:
        """Give the experiment that is shown a title."""
        self._title, self._typed = title, typed
        self._described = self._subject()

    def set_former(self, title: str, tables: Mapping[str, Any]) -> None:
        """Know a title from a file that applies to other tables than those that are shown."""
        self._title, self._typed = title, False
        self._described = {kind: tables.get(kind) for kind in self._components}

    def valid(self) -> str:
        """Return the title while it applies, else "" to name the run after its components."""
        return self._title if self._described == self._subject() else ""

    def _subject(self) -> dict[str, Any]:
        """Return what the title describes."""
        if not self._typed:
            return {kind: form.values() for kind, form in self._components.items()}
        data = self._components["dataset"].form
        files = {
            field.name: data.editors[field.name].value()
            for field in data.owner.fields()
            if field.kind == "text"
        }
        chosen = {kind: self._components[kind].name() for kind in ("dataset", "model", "optimizer")}
        return {"files": files, **chosen}
