"""A step with its numbers: the terms of the rule as they were at that step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from optlab.gui.plots.relief import Floats
from optlab.gui.plots.ticks import readable

_MEANINGS = {
    "θ": "where it is",
    "f": "height there",
    "∇f": "gradient there",
    "θ̃": "where the gradient is taken",
    "g": "gradient that is used",
    "clip g": "after clipping",
    "ε": "learning rate",
    "v": "velocity after the step",
    "Δθ": "the step",
}


class TermsTable(QTableWidget):
    """Symbol, value and meaning of each term."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setAccessibleName("Terms of the rule at this step")
        self.setHorizontalHeaderLabels(["Term", "Value", "What it is"])
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setShowGrid(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def show_terms(self, terms: Mapping[str, Floats]) -> None:
        """Show these terms, in order."""
        self.setRowCount(len(terms))
        for row, (symbol, value) in enumerate(terms.items()):
            for column, words in enumerate(
                (symbol, number(value), _MEANINGS.get(symbol, "what the rule remembers"))
            ):
                item = self.item(row, column)
                if item is None:
                    self.setItem(row, column, QTableWidgetItem(words))
                elif item.text() != words:
                    item.setText(words)


def number(value: Floats) -> str:
    """A number or vector as a person reads it; of a matrix its rows."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return readable(float(array), 5)
    if array.ndim == 1:
        return "(" + ", ".join(readable(float(entry), 4) for entry in array) + ")"
    return "  ".join(number(row) for row in array)
