"""The legend: entries above the plot that wrap to the width and never cover data.

A click on an entry hides or shows its curves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QLayout, QLayoutItem, QSizePolicy, QWidget

from optlab.gui.plain_text import plain
from optlab.gui.plots.colors import PlotColors, mixed

_SWATCH = 16
_TEXT = 11
"""Font size of the entries in pixels: small plots have little space."""
_GAP = 6
_PAD = 5
_LONGEST = 40
"""Characters of a name: runs may have long ones. The tooltip has all of it."""


class LegendEntry(QAbstractButton):
    """A name with a sample of its line, checked while its curves are visible.

    Args:
        text: the name. color: index into the palette. dashes: pattern of the line, empty for a
            solid one. pale: whether the line is drawn faintly.

    Attributes:
        looks: these four.
    """

    def __init__(
        self, text: str, color: int, dashes: tuple[float, ...], pale: bool, colors: PlotColors
    ) -> None:
        super().__init__()
        self._color, self._dashes, self._pale, self._colors = color, dashes, pale, colors
        self._scale_text()
        self.rename(text, text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def rename(self, text: str, whole: str) -> None:
        """Give it another name.

        Args:
            text: to show. whole: with all that the tooltip says.
        """
        self.looks = (text, self._color, self._dashes, self._pale)
        self.setText(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
        self.setToolTip(plain(f"Show or hide {whole}"))
        self.setAccessibleName(f"Show {text}")
        self.updateGeometry()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        self._scale_text()
        self.update()

    def _scale_text(self) -> None:
        font = self.font()
        size = round(_TEXT * self._colors.scale)
        if font.pixelSize() != size:
            font.setPixelSize(size)
            self.setFont(font)
            self.updateGeometry()

    @property
    def _swatch(self) -> int:
        """Length of the sample of the line, in pixels."""
        return round(_SWATCH * self._colors.scale)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(
            self._swatch + _GAP + metrics.horizontalAdvance(self.text()) + 2 * _PAD,
            metrics.height() + 3,
        )

    def shown_text(self) -> str:
        """Return the text as it is drawn, with "…" at its end where it does not fit."""
        room = self.width() - (_PAD + self._swatch + _GAP)
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors, shown = self._colors, self.isChecked()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.hasFocus():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(mixed(colors.background, colors.foreground, 0.08)))
            painter.drawRoundedRect(self.rect(), 4, 4)
        line = colors.faint(self._color) if self._pale else colors.curve(self._color)
        pen = QPen(
            QColor(line if shown else mixed(colors.background, colors.foreground, 0.25)),
            (1.5 if self._pale else 2.5) * colors.scale,
        )
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if self._dashes:
            # Patterns are in pen widths; shortened so that the sample shows at least two dashes.
            pen.setDashPattern([max(0.8, part * 0.5) for part in self._dashes])
        painter.setPen(pen)
        middle = self.height() / 2
        painter.drawLine(_PAD, round(middle), _PAD + self._swatch, round(middle))
        painter.setPen(QColor(mixed(colors.foreground, colors.background, 0.1 if shown else 0.5)))
        font = painter.font()
        font.setStrikeOut(not shown)
        painter.setFont(font)
        area = self.rect().adjusted(_PAD + self._swatch + _GAP, 0, 0, 0)
        painter.drawText(
            area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.shown_text()
        )


class _FlowLayout(QLayout):
    """Place items side by side and wrap them to the available width."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.room: int | None = None
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._arrange(rect, move=True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        return QSize(0, max((item.sizeHint().height() for item in self._items), default=0))

    def _arrange(self, rect: QRect, *, move: bool) -> int:
        x, y, line = rect.x(), rect.y(), 0
        for item in self._items:
            # An entry that is not shown yet is hidden, too; one that was hidden has no place.
            entry = item.widget()
            if entry is None or (
                entry.isHidden()
                and entry.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide)
            ):
                continue
            size = item.sizeHint()
            if x > rect.x() and x + size.width() > rect.right() + 1:
                x, y, line = rect.x(), y + line, 0
            if self.room is not None and y > rect.y() and y + size.height() - rect.y() > self.room:
                if move:
                    item.setGeometry(QRect(0, -100, 0, 0))
                continue
            if move:
                item.setGeometry(
                    QRect(
                        QPoint(x, y), QSize(min(size.width(), max(1, rect.width())), size.height())
                    )
                )
            x += size.width() + 2
            line = max(line, size.height())
        return y + line - rect.y()


class Legend(QWidget):
    """Entries by key.

    Signals: ``switched(str, bool)``: this entry was switched, and whether its curves are visible.
    """

    switched = Signal(str, bool)

    def __init__(self, colors: PlotColors) -> None:
        super().__init__()
        self._colors = colors
        self._entries: dict[str, LegendEntry] = {}
        self._before: dict[str, LegendEntry] = {}
        self._flow = _FlowLayout(self)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_room(self, height: int | None) -> None:
        """Leave out the entries that do not fit into a height in pixels; None for no limit."""
        if self._flow.room != height:
            self._flow.room = height
            self._flow.invalidate()
            self.updateGeometry()

    def add(
        self, key: str, text: str, color: int, dashes: tuple[float, ...] = (), pale: bool = False
    ) -> None:
        """Add an entry, unless the key exists."""
        if key in self._entries:
            return
        entry = self._before.pop(key, None)
        if entry is not None and entry.looks == (text, color, dashes, pale):
            self._flow.removeWidget(entry)
        else:
            self._discard(entry)
            entry = LegendEntry(text, color, dashes, pale, self._colors)
            entry.toggled.connect(lambda shown: self.switched.emit(key, shown))
        self._entries[key] = entry
        self._flow.addWidget(entry)
        # Otherwise it is only seen after the next frame.
        entry.show()
        self.updateGeometry()

    @contextmanager
    def rebuilt(self) -> Iterator[None]:
        """Leave those entries that are added within, in that order.

        One that looks as before is the same widget: it does not blink, and keeps the focus.
        """
        self._before, self._entries = self._entries, {}
        try:
            yield
        finally:
            for entry in self._before.values():
                self._discard(entry)
            self._before = {}
            self.updateGeometry()

    def entry(self, key: str) -> LegendEntry:
        """Return the entry of a key.

        Raises:
            KeyError: there is none.
        """
        return self._entries[key]

    def is_checked(self, key: str) -> bool:
        """Return whether an entry is checked; one that does not exist is."""
        entry = self._entries.get(key)
        return entry is None or entry.isChecked()

    def keys(self) -> tuple[str, ...]:
        """Return all keys, in order."""
        return tuple(self._entries)

    def remove(self, key: str) -> None:
        """Remove an entry.

        Raises:
            KeyError: there is none.
        """
        self._discard(self._entries.pop(key))
        self.updateGeometry()

    def _discard(self, entry: LegendEntry | None) -> None:
        if entry is not None:
            self._flow.removeWidget(entry)
            entry.hide()
            entry.deleteLater()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        for entry in self._entries.values():
            entry.set_colors(colors)
