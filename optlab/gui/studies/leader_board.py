"""The leader board of a study: its arms, the one that leads first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.gui.plots.colors import LIGHT, PlotColors
from optlab.studies.comparison.words import interval, number, remarks
from optlab.tasks.study_news import ArmNews, leading

COLUMNS = ("Place", "Arm", "Mean", "Interval", "Now", "Seeds", "Remarks")
_TIPS = (
    "By the mean of the complete runs; before there are any, by the last values of the curves",
    "The side of the comparison, in the color of its curve",
    "Of what is measured, over the complete runs",
    "Of that mean, by Student's t",
    "Mean of the last values of the series that is drawn",
    "Runs that are complete, of all that decide",
    "The tuned setting; runs that diverged, or did not reach the target",
)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class LeaderBoardModel(QAbstractTableModel):
    """One row an arm."""

    def __init__(self) -> None:
        super().__init__()
        self._arms: list[ArmNews] = []
        self._order: dict[str, int] = {}
        self._colors = LIGHT

    def show_arms(self, arms: Sequence[ArmNews], better: str) -> None:
        """Show how arms stand.

        Args:
            arms: in the order of the study, which decides their colors. better: whether ``lower``
                or ``higher`` values lead.
        """
        self.beginResetModel()
        self._arms = leading(arms, better)
        self._order = {arm.name: number for number, arm in enumerate(arms)}
        self.endResetModel()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        if self._arms:
            self.dataChanged.emit(self.index(0, 1), self.index(len(self._arms) - 1, 1))

    def arm(self, row: int) -> ArmNews:
        """Return the arm of a row."""
        return self._arms[row]

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(self._arms)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[section]
        return COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        arm, column = self._arms[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (
            "Place",
            "Mean",
            "Now",
            "Seeds",
        ):
            return _RIGHT
        if role == Qt.ItemDataRole.DecorationRole and column == "Arm":
            return QColor(self._colors.curve(self._order[arm.name]))
        if role == Qt.ItemDataRole.ToolTipRole and column in ("Arm", "Remarks"):
            return plain(self._text(index.row(), arm, column))
        return self._text(index.row(), arm, column) if role == Qt.ItemDataRole.DisplayRole else None

    def _text(self, row: int, arm: ArmNews, column: str) -> str:
        match column:
            case "Place":
                return str(row + 1) if arm.mean is not None or arm.now is not None else "–"
            case "Arm":
                return printable(arm.name)
            case "Mean":
                return number(arm.mean)
            case "Interval":
                return interval(arm.interval)
            case "Now":
                return number(arm.now if arm.now is None or math.isfinite(arm.now) else None)
            case "Seeds":
                return f"{arm.done} of {arm.total}"
        said = {"setting": arm.setting or {}, "diverged": arm.diverged, "censored": arm.censored}
        return printable("; ".join(remarks(said, arm.setting_share)))
