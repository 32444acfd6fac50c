"""The doctor's note: what holds the run back now, in words, with the evidence and a button for the
remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment import Experiment
from optlab.studies.diagnosis import diagnose
from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory
from optlab.training.events import SeriesBlock

_KEPT = 4000
"""Values of a series that are looked at; of longer ones every second is dropped, so that a note
costs the same however long a run is.
"""
_WELL = "Nothing that was measured holds this run back."


class _SeriesBuffer:
    """Gathers the series of one run in bounded room."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._counts: dict[str, int] = {}
        self._strides: dict[str, int] = {}
        self.columns: dict[str, tuple[str, ...]] = {}

    def take(self, block: SeriesBlock) -> None:
        for name, series in block.series.items():
            stride = self._strides.get(name, 1)
            keep = series.steps % stride == 0 if len(series.steps) > 1 else slice(None)
            self._parts.setdefault(name, []).append((series.steps[keep], series.values[keep][:, 0]))
            self._counts[name] = self._counts.get(name, 0) + len(self._parts[name][-1][0])
            if series.columns:
                self.columns[name] = series.columns
            if self._counts[name] > 2 * _KEPT:
                self._thin(name)

    def series(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        for name, parts in self._parts.items():
            if len(parts) > 1:
                self._parts[name] = [_joined(parts)]
        return {name: parts[0] for name, parts in self._parts.items()}

    def _thin(self, name: str) -> None:
        steps, values = _joined(self._parts[name])
        self._parts[name] = [(steps[::2], values[::2])]
        self._counts[name] = len(steps[::2])
        self._strides[name] = self._strides.get(name, 1) * 2


class DiagnosisPanel(QFrame):
    """Shows the gravest finding; the others are a click away.

    Signals: ``remedyChosen(object)``: a :class:`~optlab.studies.diagnosis.base.Remedy` that the
    user wants.
    """

    remedyChosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tile")
        self.setAccessibleName("Doctor's note")
        self._notebook = _SeriesBuffer()
        self._findings: list[Finding] = []
        self._place = 0
        self.sentence, self.evidence = QLabel(""), QLabel("")
        self.sentence.setWordWrap(True)
        self.evidence.setWordWrap(True)
        self.evidence.setProperty("role", "muted")
        self.next_button = QToolButton()
        self.next_button.setAutoRaise(True)
        self.next_button.setToolTip("Show the next finding")
        self.next_button.setAccessibleName("Next finding")
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(6)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.sentence)
        words.addWidget(self.evidence)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 4, 6, 4)
        layout.addLayout(words, 1)
        layout.addLayout(self._buttons)
        layout.addWidget(self.next_button)
        self.next_button.clicked.connect(self._next)
        self.clear()

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found at the last look, the gravest first."""
        return tuple(self._findings)

    def clear(self) -> None:
        """Another run: forget what was measured."""
        self._notebook = _SeriesBuffer()
        self._findings = []
        self.hide()

    def take(self, block: SeriesBlock) -> None:
        """New measurements; they are looked at when :meth:`look` is called."""
        self._notebook.take(block)

    def look(self, experiment: Experiment) -> None:
        """Say what holds the run back as it stands."""
        found = diagnose(RunHistory(experiment, self._notebook.series(), self._notebook.columns))
        if [finding.name for finding in found] != [finding.name for finding in self._findings]:
            self._place = 0
        self._findings = found
        self._show()
        self.show()

    def _next(self) -> None:
        self._place = (self._place + 1) % max(1, len(self._findings))
        self._show()

    def _show(self) -> None:
        finding = self._findings[self._place] if self._findings else None
        self.sentence.setText(finding.sentence if finding else _WELL)
        self.evidence.setText(finding.evidence if finding else "")
        self.evidence.setVisible(finding is not None)
        self.next_button.setText(f"{self._place + 1} of {len(self._findings)} ›")
        self.next_button.setVisible(len(self._findings) > 1)
        while (item := self._buttons.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for remedy in finding.remedies if finding else ():
            self._buttons.addWidget(self._button(remedy))

    def _button(self, remedy: Remedy) -> QPushButton:
        button = QPushButton(remedy.label)
        button.setToolTip(
            "Now, in the run that is going"
            if remedy.live or remedy.stop
            else "In the experiment, for the next run"
        )
        button.clicked.connect(partial(self.remedyChosen.emit, remedy))
        return button


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([steps for steps, _ in parts]), np.concatenate(
        [values for _, values in parts]
    )
