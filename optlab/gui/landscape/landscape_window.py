"""The landscape window: what the loss looks like around the weights of a stored run."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.landscape.density_plot import DensityPlot
from optlab.gui.landscape.line_slice_plot import LineSlicePlot
from optlab.gui.panels.tile import Tile
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.relief import Relief, Track
from optlab.gui.plots.relief_view import ReliefView
from optlab.gui.plots.ticks import readable
from optlab.store import Store
from optlab.tasks.landscape import (
    ESCAPE_STEPS,
    EXAMPLES,
    START_OFFSET,
    CriticalPointResult,
    CriticalPointTask,
    LineTask,
    SliceTask,
    SpectrumResult,
    SpectrumTask,
)
from optlab.tasks.slicing import Along, LineSlice, PlaneSlice

_PLANES: dict[Along, str] = {
    "path": "The path's first two principal components",
    "random": "Two random directions, filter-normalized",
    "gradient": "Gradient and top eigenvector of the Hessian",
    "runs": "From this run to another",
}
assert set(_PLANES) == set(get_args(Along))


class LandscapeWindow(QMainWindow):
    """Slices, lines, spectrum and critical point of a stored run.

    ``closed``: it was closed by the user.
    """

    closed = Signal()

    def __init__(self, warmth: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Loss landscape – OptLab")
        self.resize(1320, 860)
        self._shown_once = False
        self.questions = TaskBridge(warmth.pool, self)
        self.run, self.other, self.plane = QComboBox(), QComboBox(), QComboBox()
        self.points, self.examples, self.seed = QSpinBox(), QSpinBox(), QSpinBox()
        self.contours, self.view, self.line, self.density = (
            ContourPlot(),
            ReliefView(),
            LineSlicePlot(),
            DensityPlot(),
        )
        self.eigenvalues = QTableWidget(0, 2)
        self.norms = CurvePlot("‖g‖", x_label="Steps of the finder", log_y=True)
        self.verdict = QLabel("")
        self.words = QLabel("")
        self.busy = QProgressBar()
        self.look_button = QPushButton("Look")
        self.stop_button = QPushButton("Stop")
        self.tabs = QTabWidget()
        self._build()
        self._connect()
        self.apply_theme()

    # --- building -----------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        for kind, label in _PLANES.items():
            self.plane.addItem(label, kind)
        for box, name, low, high, value in (
            (self.points, "Points in each direction", 5, 201, 41),
            (self.examples, "Training examples", 0, 1_000_000, EXAMPLES),
            (self.seed, "Seed of random directions", 0, 2**31 - 1, 0),
        ):
            box.setRange(low, high)
            box.setValue(value)
            box.setAccessibleName(name)
        self.examples.setSpecialValueText("all")
        self.run.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.other.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.eigenvalues.setHorizontalHeaderLabels(["Eigenvalue", "Value"])
        self.eigenvalues.verticalHeader().hide()
        self.eigenvalues.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.eigenvalues.horizontalHeader().setStretchLastSection(True)
        self.eigenvalues.setAccessibleName("Eigenvalues at both ends")
        self.verdict.setWordWrap(True)
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.verdict.setContentsMargins(12, 8, 12, 8)
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.words.setWordWrap(True)
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedWidth(120)
        self.look_button.setObjectName("primary")
        self.look_button.setShortcut("Ctrl+Return")
        self.look_button.setToolTip("Compute what this tab shows (Ctrl+Return)")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(
            _side_by_side(
                Tile("Seen from above", self.contours), Tile("Seen from aside", self.view)
            ),
            "Plane",
        )
        self.tabs.addTab(Tile("Along a line", self.line), "Line")
        self.tabs.addTab(
            _side_by_side(
                Tile("Spectrum of the Hessian", self.density), Tile("Both ends", self.eigenvalues)
            ),
            "Spectrum",
        )
        self.tabs.addTab(
            _side_by_side(
                Tile("Norm of the gradient on the way", self.norms),
                Tile("What was found", self.verdict),
            ),
            "Critical point",
        )
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Run", self.run)
        form.addRow("Plane", self.plane)
        form.addRow("To", self.other)
        numbers = QHBoxLayout()
        for label, box in (
            ("Points", self.points),
            ("Examples", self.examples),
            ("Seed", self.seed),
        ):
            numbers.addWidget(QLabel(label))
            numbers.addWidget(box)
        numbers.addStretch(1)
        for widget in (self.busy, self.stop_button, self.look_button):
            numbers.addWidget(widget)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addLayout(form)
        layout.addLayout(numbers)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.words)
        self.setCentralWidget(page)
        self._set_busy(False)

    def _connect(self) -> None:
        self.look_button.clicked.connect(self.look)
        self.stop_button.clicked.connect(self._stop)
        self.plane.currentIndexChanged.connect(lambda _index: self._fit_choices())
        self.tabs.currentChanged.connect(lambda _index: self._fit_choices())
        self.run.currentIndexChanged.connect(lambda _index: self._forget())
        self.questions.answered.connect(self._take)
        self.questions.failed.connect(self._failed)
        self.questions.finished.connect(lambda: self._set_busy(False))
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Follow the theme in what does not follow the palette by itself."""
        colors = theme.current().plots
        for part in (self.contours, self.view, self.line, self.density, self.norms):
            part.set_colors(colors)

    # --- runs -----------------------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the list of runs anew, keeping what is chosen."""
        try:
            with Store.open_readonly() as store:
                records = [record for record in store.runs() if not record.going]
        except OptLabError as error:
            self._say(str(error), problem=True)
            return
        for box in (self.run, self.other):
            chosen = box.currentData()
            box.blockSignals(True)
            box.clear()
            for record in records:
                box.addItem(f"{record.title} · {record.steps:,} steps · {record.id}", record.id)
            box.setCurrentIndex(max(0, box.findData(chosen)))
            box.blockSignals(False)
        if not records:
            self._say(
                "No run is stored yet: press Start in the window, and come back when it has ended."
            )
        self._fit_choices()

    def choose(self, run_id: str) -> None:
        """Look at this run."""
        self.reload()
        self.run.setCurrentIndex(self.run.findData(run_id))

    def _fit_choices(self) -> None:
        tab = self.tabs.tabText(self.tabs.currentIndex())
        between = tab == "Plane" and self.plane.currentData() == "runs"
        self.plane.setEnabled(tab == "Plane")
        self.other.setEnabled(between)
        self.points.setEnabled(tab == "Plane")
        self.seed.setEnabled(tab in ("Plane", "Line"))
        self.look_button.setEnabled(self.run.count() > 0)

    def _forget(self) -> None:
        """Another run: what is shown is of the last one."""
        self.contours.set_relief(None)
        self.view.set_relief(None)
        self.line.show_line(None)
        self.density.show_spectrum(None)
        self.eigenvalues.setRowCount(0)
        self.norms.remove_all()
        self.verdict.setText("")

    # --- asking ---------------------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Compute what the tab shows."""
        run, examples, seed = self.run.currentData(), self.examples.value(), self.seed.value()
        if run is None:
            return
        match self.tabs.tabText(self.tabs.currentIndex()):
            case "Plane":
                along: Along = self.plane.currentData()
                other = self.other.currentData() if along == "runs" else ""
                self.questions.ask(
                    SliceTask(run, along, other or "", self.points.value(), 0.0, seed, examples)
                )
            case "Line":
                self.questions.ask(LineTask(run, seed=seed, examples=examples))
            case "Spectrum":
                self.questions.ask(SpectrumTask(run, examples=examples))
            case _:
                self.questions.ask(CriticalPointTask(run, examples=examples))
        self._set_busy(True)
        self._say("Computing…")

    def _stop(self) -> None:
        self.questions.shut_down()
        self._set_busy(False)
        self._say("Stopped.")

    def _set_busy(self, busy: bool) -> None:
        self.busy.setVisible(busy)
        self.stop_button.setEnabled(busy)

    # --- answers --------------------------------------------------------------------------------------------------------------------

    def _take(self, answer: Any) -> None:
        match answer:
            case PlaneSlice():
                self._show_plane(answer)
            case LineSlice():
                self.line.show_line(answer)
                place = int(np.argmin(answer.loss))
                at, loss, error = (
                    float(np.round(values[place], 12))
                    for values in (answer.at, answer.loss, answer.standard_error)
                )
                self._say(
                    f"Lowest at {readable(at, 3)}: {readable(loss, 4)} ± {readable(error, 2)}."
                )
            case SpectrumResult():
                self._show_spectrum(answer)
            case CriticalPointResult():
                self._show_point(answer)

    def _failed(self, sentence: str) -> None:
        self._say(sentence, problem=True)

    def _show_plane(self, found: PlaneSlice) -> None:
        relief = Relief(found.a, found.b, found.loss.T)
        self.contours.canvas.x_axis.set_label(found.labels[0])
        self.contours.canvas.y_axis.set_label(found.labels[1])
        self.contours.set_relief(relief)
        self.view.set_relief(relief)
        if len(found.path) > 1:
            tracks = [Track("Path", 1, found.path)]
            self.contours.set_tracks(tracks)
            self.view.set_tracks(tracks)
        if found.explained is None or not np.isfinite(found.explained):
            held = "The run did not move, so there is no path to draw."
        else:
            start, end = (readable(float(found.off_plane[place]), 3) for place in (0, -1))
            held = f"The plane holds {found.explained:.1%} of the path's variance; the start lies {start} off the plane, the end {end}."
        self._say(f"{held} Lowest on the plane: {readable(float(np.nanmin(found.loss)), 4)}.")

    def _show_spectrum(self, found: SpectrumResult) -> None:
        self.density.show_spectrum(found)
        rows = [(f"λ{_low(number)}", value) for number, value in enumerate(found.top, 1)]
        rows += [
            (f"λ₋{_low(number)}" if number > 1 else "smallest", value)
            for number, value in reversed(list(enumerate(found.bottom, 1)))
        ]
        self.eigenvalues.setRowCount(len(rows))
        for row, (name, value) in enumerate(rows):
            self.eigenvalues.setItem(row, 0, QTableWidgetItem(name))
            self.eigenvalues.setItem(row, 1, QTableWidgetItem(readable(float(value), 6)))
        parts = [
            f"λ₁ = {readable(float(found.top[0]), 4)}",
            f"trace {readable(found.trace, 4)} ± {readable(found.trace_error, 2)}",
            f"{found.products} Hessian products, relative residual {readable(found.residual, 2)}",
        ]
        if found.negative is not None:
            parts.append(f"{found.negative:,} of {found.parameters:,} eigenvalues are negative")
        if found.rate is not None:
            edge = 2.0 / float(found.top[0])
            side = "below" if found.rate < edge else "above"
            parts.append(
                f"gradient descent is stable up to a rate of 2/λ₁ = {readable(edge, 3)}; the run's {readable(found.rate, 3)} is {side} it"
            )
        if found.path_steps:
            convex = [
                step
                for step, holds in zip(found.path_steps, found.path_convex, strict=True)
                if holds
            ]
            where = (
                f" (steps {', '.join(f'{step:,}' for step in convex)})"
                if 0 < len(convex) < len(found.path_steps)
                else ""
            )
            parts.append(
                f"the objective is convex at {len(convex)} of {len(found.path_steps)} points of the path{where}"
            )
        self._say("; ".join(parts) + ".")

    def _show_point(self, found: CriticalPointResult) -> None:
        self.norms.remove_all()
        self.norms.add_curve("norm", "‖g‖", 0, strong=True)
        self.norms.append("norm", np.arange(len(found.norms)), found.norms)
        self.norms.follow()
        self.norms.refresh()
        reached = (
            "The finder converged"
            if found.converged
            else f"The finder did not converge: {found.problem}"
        )
        low, high = float(found.eigenvalues[0]), float(found.eigenvalues[-1])
        self.verdict.setText(
            f"<p><b>Where the weights are:</b> {found.here}.<br>Objective {readable(found.losses[0], 6)}.</p>"
            f"<p><b>{reached}</b>, {readable(found.distance, 3)} away.</p><p><b>There:</b> {found.there}.<br>Objective {readable(found.losses[1], 6)}, "
            f"eigenvalues from {readable(low, 4)} to {readable(high, 4)}.</p>{_onwards(found)}"
        )
        self._say(
            "The critical point nearby, found by lowering the norm of the gradient: it may be a minimum, a saddle or a maximum."
        )

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self.words.setText(sentence)
        self.words.setProperty("problem", problem)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)

    # --- beginning and end ----------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            self.reload()
            if self.run.count():
                QTimer.singleShot(0, self, self.look)

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.questions.shut_down()
        self.closed.emit()
        event.accept()


def _side_by_side(*widgets: QWidget) -> QWidget:
    split = QSplitter(Qt.Orientation.Horizontal)
    split.setChildrenCollapsible(False)
    for widget in widgets:
        split.addWidget(widget)
    split.setSizes([1000, 800])
    return split


def _onwards(found: CriticalPointResult) -> str:
    """What methods do from beside the point, as a table."""
    if not found.escapes:
        return ""
    rows = "".join(
        f"<tr><td>{label}&nbsp;&nbsp;</td><td align='right'>{readable(objective, 5)}&nbsp;&nbsp;</td><td align='right'>{readable(distance, 3)}</td></tr>"
        for label, objective, distance in found.escapes
    )
    head = "<tr><td></td><td align='right'>objective&nbsp;&nbsp;</td><td align='right'>distance from it</td></tr>"
    return f"<p><b>What methods do from {START_OFFSET:g} beside it, in {ESCAPE_STEPS} steps:</b></p><table>{head}{rows}</table>"


def _low(number: int) -> str:
    """A number in subscript digits."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
