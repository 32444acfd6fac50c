"""The terms of an update rule with their values at one step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from optlab.gui.plots.relief import Floats
from optlab.gui.plots.ticks import readable

_MEANINGS = {
    "θ": "parameters before the step",
    "f": "height at θ",
    "∇f": "gradient at θ",
    "θ̃": "point at which the gradient is evaluated",
    "g": "gradient used",
    "clip g": "gradient after clipping",
    "ε": "learning rate",
    "v": "velocity after the step",
    "Δθ": "step",
}


class TermsTable(QTableWidget):
    """Symbol, value and meaning of each term."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setAccessibleName("Terms of the rule at this step")
        self.setHorizontalHeaderLabels(["Term", "Value", "Meaning"])
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setShowGrid(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def show_terms(self, terms: Mapping[str, Floats]) -> None:
        """Show terms by symbol, in order; a value is a scalar, ``[d]`` or ``[d, d]``."""
        self.setRowCount(len(terms))
        for row, (symbol, value) in enumerate(terms.items()):
            for column, text in enumerate(
                (symbol, number(value), _MEANINGS.get(symbol, "state of the rule"))
            ):
                item = self.item(row, column)
                if item is None:
                    self.setItem(row, column, QTableWidgetItem(text))
                elif item.text() != text:
                    item.setText(text)


def number(value: Floats) -> str:
    """Return a scalar, vector ``[d]`` or matrix ``[d, d]`` as readable text."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return readable(float(array), 5)
    if array.ndim == 1:
        return "(" + ", ".join(readable(float(entry), 4) for entry in array) + ")"
    return "  ".join(number(row) for row in array)
