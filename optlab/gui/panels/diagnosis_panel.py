"""The diagnosis of a run: what limits it now, the evidence, and a button for each remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment import Experiment
from optlab.gui.plain_text import PlainLabel
from optlab.studies.diagnosis import diagnose
from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory
from optlab.training.events import SeriesBlock

_MAX_VALUES = 4000
"""Values of a series that are kept. Of longer series every second value is dropped, so that the
cost of a diagnosis does not grow with the length of the run.
"""
_MARGIN = 4
_NO_FINDINGS = "Diagnosis: no problem found in the measured series."
_NOTHING_MEASURED = "Diagnosis: nothing has been measured yet."


class _SeriesBuffer:
    """Collects the series of one run in bounded memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._counts: dict[str, int] = {}
        self._strides: dict[str, int] = {}
        self.columns: dict[str, tuple[str, ...]] = {}

    def add(self, block: SeriesBlock) -> None:
        for name, series in block.series.items():
            stride = self._strides.get(name, 1)
            keep = series.steps % stride == 0 if len(series.steps) > 1 else slice(None)
            self._parts.setdefault(name, []).append((series.steps[keep], series.values[keep][:, 0]))
            self._counts[name] = self._counts.get(name, 0) + len(self._parts[name][-1][0])
            if series.columns:
                self.columns[name] = series.columns
            if self._counts[name] > 2 * _MAX_VALUES:
                self._thin(name)

    @property
    def empty(self) -> bool:
        return not any(self._counts.values())

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
    """Shows the most severe finding; a button shows the next one.

    Signals: ``remedyChosen(object)``: the :class:`~optlab.studies.diagnosis.base.Remedy` that the
    user selected; ``forkChosen(object)``: the one to try in a fork of the run.
    """

    remedyChosen = Signal(object)
    forkChosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tile")
        self.setAccessibleName("Diagnosis")
        self._buffer = _SeriesBuffer()
        self._findings: list[Finding] = []
        self._position = 0
        self._in_progress = False
        self.sentence, self.evidence = PlainLabel(""), PlainLabel("")
        self.sentence.setWordWrap(True)
        self.evidence.setWordWrap(True)
        self.evidence.setProperty("role", "muted")
        self.next_button = QToolButton()
        self.next_button.setAutoRaise(True)
        self.next_button.setToolTip("Show the next finding")
        self.next_button.setAccessibleName("Next finding")
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(6)
        text = QVBoxLayout()
        text.setSpacing(0)
        text.addWidget(self.sentence)
        text.addWidget(self.evidence)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, _MARGIN, 6, _MARGIN)
        layout.addLayout(text, 1)
        layout.addLayout(self._buttons)
        layout.addWidget(self.next_button)
        self.next_button.clicked.connect(self._next)
        self.clear()

    @property
    def findings(self) -> Sequence[Finding]:
        """Findings of the last diagnosis, the most severe first."""
        return tuple(self._findings)

    def clear(self) -> None:
        """Forget the series and findings of the run, and hide the panel."""
        self._buffer = _SeriesBuffer()
        self._findings = []
        self.hide()

    def begin(self) -> None:
        """Show that a run begins.

        The panel takes its room now: with the first values it would move all plots.
        """
        self.clear()
        self._show(_NOTHING_MEASURED)
        self.show()

    def add(self, block: SeriesBlock) -> None:
        """Add the values of a block, series ``[n, R]``, for the next :meth:`diagnose`."""
        self._buffer.add(block)

    def diagnose(self, experiment: Experiment, *, in_progress: bool) -> None:
        """Diagnose the run of an experiment from the series so far, and show the result.

        Nothing changes before the first values have arrived. Remedies for the run itself are
        offered only while it is ``in_progress``.
        """
        if self._buffer.empty:
            return
        self.show_findings(
            diagnose(RunHistory(experiment, self._buffer.series(), self._buffer.columns)),
            in_progress=in_progress,
        )

    def show_findings(self, findings: Sequence[Finding], *, in_progress: bool) -> None:
        """Show findings, the most severe first, of a run that may be in progress."""
        self._in_progress = in_progress
        if [finding.name for finding in findings] != [finding.name for finding in self._findings]:
            self._position = 0
        self._findings = list(findings)
        self._show()
        self.show()

    def _next(self) -> None:
        self._position = (self._position + 1) % max(1, len(self._findings))
        self._show()

    def _show(self, without: str = _NO_FINDINGS) -> None:
        """Show the finding whose turn it is, or a sentence where there is none."""
        finding = self._findings[self._position] if self._findings else None
        self.setMinimumHeight(self._room_of_a_finding())
        self.sentence.setText(finding.sentence if finding else without)
        self.evidence.setText(finding.evidence if finding else "")
        self.evidence.setVisible(finding is not None)
        self.next_button.setText(f"{self._position + 1} of {len(self._findings)} ›")
        self.next_button.setVisible(len(self._findings) > 1)
        while (item := self._buttons.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for remedy in finding.remedies if finding else ():
            if self._in_progress or not remedy.stop:
                self._buttons.addWidget(self._button(remedy))
            if not self._in_progress and remedy.fits_fork:
                self._buttons.addWidget(self._fork_button(remedy))

    def _room_of_a_finding(self) -> int:
        """Return the height of a finding with a line of evidence, so that most move nothing."""
        return 2 * self.fontMetrics().lineSpacing() + 2 * _MARGIN

    def _button(self, remedy: Remedy) -> QPushButton:
        button = QPushButton(remedy.label)
        button.setToolTip(
            "Now, in the run in progress"
            if self._in_progress and (remedy.live or remedy.stop)
            else "In the experiment, for the next run"
        )
        button.clicked.connect(partial(self.remedyChosen.emit, remedy))
        return button

    def _fork_button(self, remedy: Remedy) -> QPushButton:
        button = QPushButton("…as a fork")
        button.setAccessibleName(f"{remedy.label}, as a fork")
        button.setToolTip(f"{remedy.label}, from the last good step of this run on")
        button.clicked.connect(partial(self.forkChosen.emit, remedy))
        return button


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([steps for steps, _ in parts]), np.concatenate(
        [values for _, values in parts]
    )
