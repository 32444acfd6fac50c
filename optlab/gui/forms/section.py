"""A collapsible section with a summary of its content in its header."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.panels.elided_label import ElidedLabel


class Section(QFrame):
    """A titled frame around a form.

    Args:
        title: text of the header.
        content: the widget to show and hide.
        opened: whether it is open at first.

    Signals: ``toggled()``: it was opened or closed.
    """

    toggled = Signal()

    def __init__(self, title: str, content: QWidget, *, opened: bool) -> None:
        super().__init__()
        self.setObjectName("section")
        self.content = content
        self.head = QToolButton()
        self.head.setObjectName("sectionHead")
        self.head.setText(title)
        self.head.setCheckable(True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.toggled.connect(self._toggle)
        self.title = title
        self._before_search: bool | None = None
        self.summary = ElidedLabel("")
        self.summary.setProperty("role", "muted")
        self.summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row = QHBoxLayout()
        row.setContentsMargins(6, 2, 12, 2)
        row.addWidget(self.head, 0, Qt.AlignmentFlag.AlignLeft)
        row.addWidget(self.summary, 1)
        row.addStretch(0)
        inner = QVBoxLayout()
        inner.setContentsMargins(12, 2, 12, 12)
        inner.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(row)
        layout.addLayout(inner)
        self._inner = inner
        self.set_opened(opened)

    def set_opened(self, opened: bool) -> None:
        """Open or close the section."""
        self.head.setChecked(opened)
        self._toggle(opened)

    @property
    def opened(self) -> bool:
        """Whether it is open, or would be without the search."""
        return self.head.isChecked() if self._before_search is None else self._before_search

    def set_summary(self, text: str) -> None:
        """Set the short summary of the content that is shown while the section is closed."""
        self.summary.setText(text)
        self.head.setAccessibleDescription(text)

    def show_result(self, found: bool | None) -> None:
        """Show it open where a search found something in it, else hide it.

        Args:
            found: None when the search is over: it is open or closed as it was before.
        """
        self.setVisible(found is not False)
        if found is None:
            if self._before_search is not None:
                before, self._before_search = self._before_search, None
                self.set_opened(before)
            return
        if self._before_search is None:
            self._before_search = self.head.isChecked()
        self.set_opened(found)

    def _toggle(self, opened: bool) -> None:
        self.head.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.content.setVisible(opened)
        self.summary.setVisible(not opened)
        self._inner.setContentsMargins(12, 2 if opened else 0, 12, 12 if opened else 0)
        self.toggled.emit()


def stacked(*widgets: QWidget) -> QWidget:
    """Return a widget with these widgets below each other."""
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    return column
