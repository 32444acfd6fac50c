"""The tile of picked series: a plot, and a list with a search field to pick from."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment.series_labels import series_label
from optlab.gui.board.recent_values import RecentValues
from optlab.gui.board.series_plot import SeriesPlot, choices
from optlab.gui.plain_text import PlainLabel

_NAME = Qt.ItemDataRole.UserRole
"""Role of the name of a series, whose text is its label."""


class SeriesPicker(QFrame):
    """A list of series with boxes, and a field that filters it.

    Signals: ``picked(object)``: the names that have a tick, in the order of the list.
    """

    picked = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("tile")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the series of this run")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search series")
        self.list = QListWidget()
        self.list.setAccessibleName("Series of the run")
        self.list.setUniformItemSizes(True)
        self.note = PlainLabel("The run has no series yet: start one, or show a stored run.")
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for part in (self.search, self.note, self.list):
            layout.addWidget(part)
        self.search.textChanged.connect(self._filter)
        self.list.itemChanged.connect(lambda _item: self.picked.emit(self.names()))

    def sizeHint(self) -> QSize:  # Qt's name
        return QSize(320, 360)

    def set_choices(self, names: Sequence[str], ticked: Sequence[str]) -> None:
        """Show names, and which of them have a tick; those that the run lacks are shown, too."""
        self.list.blockSignals(True)
        self.list.clear()
        for name in [*names, *(name for name in ticked if name not in names)]:
            item = QListWidgetItem(series_label(name))
            item.setData(_NAME, name)
            item.setToolTip(name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if name in ticked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.note.setVisible(not self.list.count())
        self._filter(self.search.text())

    def names(self) -> list[str]:
        """Return the names that have a tick."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return [
            str(item.data(_NAME)) for item in items if item.checkState() == Qt.CheckState.Checked
        ]

    def show_below(self, button: QWidget) -> None:
        """Open below a button, within its screen."""
        self.resize(self.sizeHint())
        area = button.screen().availableGeometry()
        corner = button.mapToGlobal(QPoint(0, button.height()))
        corner.setX(max(area.left(), min(corner.x(), area.right() - self.width())))
        corner.setY(max(area.top(), min(corner.y(), area.bottom() - self.height())))
        self.move(corner)
        self.show()
        self.search.setFocus()

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        for row in range(self.list.count()):
            item = self.list.item(row)
            name = f"{item.text()} {item.data(_NAME)}".casefold()
            item.setHidden(not all(word in name for word in words))


class SeriesTile(QWidget):
    """A plot of series and the button that opens their list.

    Args:
        values: of the run that is shown. names: what is drawn at first. log: whether the y axis is
            logarithmic.

    Signals: ``namesChanged()``.
    """

    namesChanged = Signal()

    def __init__(self, values: RecentValues, names: Sequence[str] = (), *, log: bool = False):
        super().__init__()
        self._values = values
        self.plot = SeriesPlot()
        self.plot.set_columns(values.names)
        self.plot.set_names(names)
        self.plot.set_log_y(log)
        self.picker = SeriesPicker(self)
        self.picker.picked.connect(self.set_names)
        self.pick_button = QToolButton()
        self.pick_button.setText("Series…")
        self.pick_button.setToolTip("Pick the series that this tile draws")
        self.pick_button.setAccessibleName("Pick series")
        self.pick_button.clicked.connect(self.pick)
        self.log_button = QToolButton()
        self.log_button.setObjectName("toggle")
        self.log_button.setText("log")
        self.log_button.setCheckable(True)
        self.log_button.setChecked(log)
        self.log_button.setToolTip("Logarithmic y axis, or a linear one")
        self.log_button.setAccessibleName("Logarithmic y axis")
        self.log_button.toggled.connect(self.plot.set_log_y)
        self.plot.log_y_action.toggled.connect(self.log_button.setChecked)
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 6, 0)
        row.addWidget(self.pick_button)
        row.addWidget(self.log_button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)

    @property
    def title(self) -> str:
        """The heading of its tile: what it draws."""
        return ", ".join(map(series_label, self.plot.names)) or "Series"

    def pick(self) -> None:
        """Open the list of the series of the run."""
        self.picker.set_choices(choices(self._values.names), self.plot.names)
        self.picker.show_below(self.pick_button)

    def set_names(self, names: Sequence[str]) -> None:
        """Draw these series, with all values of the run."""
        if tuple(names) == self.plot.names:
            return
        self.plot.set_columns(self._values.names)
        self.plot.set_names(names)
        self._values.replay(self.plot)
        self.plot.refresh()
        self.namesChanged.emit()
