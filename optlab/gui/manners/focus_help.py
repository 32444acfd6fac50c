"""The page of what has the focus, for F1."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from PySide6.QtWidgets import QWidget


@runtime_checkable
class HasHelp(Protocol):
    """A widget that knows what it is about."""

    def help_topic(self) -> tuple[str, str, str]:
        """Return kind and name of a component, and one of its fields or ""; "" for no component."""
        ...


def topic_of(widget: QWidget | None) -> tuple[str, str, str] | None:
    """Return kind, name and field of the innermost page about a widget; None if there is none."""
    while widget is not None:
        if isinstance(widget, HasHelp):
            kind, name, field = widget.help_topic()
            if kind and name:
                return kind, name, field
        widget = widget.parentWidget()
    return None
