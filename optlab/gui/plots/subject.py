"""What plots show: the name of a run, a surface or a demonstration, declared once by their window.

An ancestor of the plots declares it as a property, and the plots look it up when they are exported.
"""

from __future__ import annotations

import re

from PySide6.QtWidgets import QWidget

_PROPERTY = "plotSubject"
_MAX_NAME = 80
"""Characters of a file name that come from a subject."""


def set_subject(widget: QWidget, subject: str) -> None:
    """Declare what all plots inside a widget show."""
    widget.setProperty(_PROPERTY, subject)


def subject_of(widget: QWidget) -> str:
    """Return what the plots of the nearest ancestor with a subject show, or ""."""
    ancestor: QWidget | None = widget
    while ancestor is not None:
        subject = ancestor.property(_PROPERTY)
        if subject is not None:
            return str(subject)
        ancestor = ancestor.parentWidget()
    return ""


def file_name(subject: str, title: str, ending: str) -> str:
    """Return a name for an exported file: ``file_name("Iris · MLP", "Loss", "png")``.

    Only letters, digits and "-" are kept, so that it is a name in every file system.
    """
    words = re.sub(r"[^\w]+", "-", f"{subject[:_MAX_NAME]} {title}").strip("-")
    return f"{words or 'plot'}.{ending}"
