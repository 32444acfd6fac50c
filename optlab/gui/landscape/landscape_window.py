"""The landscape window: the loss around the weights of a stored run."""

from __future__ import annotations

from html import escape
from typing import Any, get_args

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent, QStandardItem, QStandardItemModel
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

from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.landscape.density_plot import DensityPlot
from optlab.gui.landscape.line_slice_plot import LineSlicePlot
from optlab.gui.landscape.result_text import eigenvalue_rows, escape_table, sign_counts
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.relief import Relief, Track
from optlab.gui.plots.relief_view import ReliefView
from optlab.gui.plots.subject import set_subject
from optlab.gui.plots.ticks import readable
from optlab.gui.questions import ask_about_changed_data
from optlab.tasks.landscape import (
    EXAMPLES,
    CriticalPointResult,
    CriticalPointTask,
    LineTask,
    SliceTask,
    SpectrumResult,
    SpectrumTask,
)
from optlab.tasks.slicing import Along, LineSlice, PlaneSlice
from optlab.tasks.stored_runs import RunList, RunListTask

_TITLE = "Loss landscape – OptLab"
_PLANES: dict[Along, str] = {
    "path": "First two principal components of the path",
    "random": "Two random directions, filter-normalized",
    "gradient": "Gradient and top eigenvector of the Hessian",
    "runs": "From this run to another",
}
assert set(_PLANES) == set(get_args(Along))


class LandscapeWindow(QMainWindow):
    """Slices, lines, spectrum and critical point of a stored run.

    Signals: ``closed()``: the user closed the window.
    """

    closed = Signal()

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_TITLE)
        resize_to_screen(self, 1320, 860)
        self._shown_once = self._compute_first = False
        self._chosen = ""
        self._runs_model: QStandardItemModel | None = None
        self.tasks, self.listing = TaskBridge(prewarmer.pool, self), TaskBridge(None, self)
        self.run, self.other, self.plane = QComboBox(), QComboBox(), QComboBox()
        self.points, self.examples, self.seed = QSpinBox(), QSpinBox(), QSpinBox()
        self.contours, self.view, self.line, self.density = (
            ContourPlot(),
            ReliefView(),
            LineSlicePlot(),
            DensityPlot(),
        )
        self.eigenvalues = QTableWidget(0, 2)
        self.norms = CurvePlot("‖g‖", x_label="Steps of the search", log_y=True)
        self.result_text = QLabel("")
        self.result_text.setTextFormat(Qt.TextFormat.RichText)
        self.status_label = PlainLabel("")
        self.busy = QProgressBar()
        self.compute_button = QPushButton("Compute")
        self.stop_button = QPushButton("Stop")
        self.tabs = QTabWidget()
        self._build()
        self._connect()
        self.apply_theme()

    # --- building -------------------------------------------------------------

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
        self.eigenvalues.setAccessibleName("Eigenvalues")
        self.result_text.setWordWrap(True)
        self.result_text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.result_text.setContentsMargins(12, 8, 12, 8)
        self.result_text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status_label.setWordWrap(True)
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedWidth(120)
        self.compute_button.setObjectName("primary")
        self.compute_button.setShortcut("Ctrl+Return")
        self.compute_button.setToolTip("Compute the contents of this tab (Ctrl+Return)")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(
            _side_by_side(Tile("Contours", self.contours), Tile("3-D view", self.view)),
            "Plane",
        )
        self.tabs.addTab(Tile("Along a line", self.line), "Line")
        self.tabs.addTab(
            _side_by_side(
                Tile("Spectrum of the Hessian", self.density),
                Tile("Eigenvalues", self.eigenvalues),
            ),
            "Spectrum",
        )
        self.tabs.addTab(
            _side_by_side(
                Tile("Gradient norm during the search", self.norms),
                Tile("Result", self.result_text),
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
            numbers.addWidget(PlainLabel(label))
            numbers.addWidget(box)
        numbers.addStretch(1)
        for widget in (self.busy, self.stop_button, self.compute_button):
            numbers.addWidget(widget)
        self.setCentralWidget(self._page(form, numbers))
        self._set_busy(False)

    def _page(self, form: QFormLayout, numbers: QHBoxLayout) -> QWidget:
        """Return the content of the window: its controls, the tabs, and the result in words."""
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addLayout(form)
        layout.addLayout(numbers)
        layout.addWidget(self.tabs, 1)
        # The result in words is in sight on a small screen, too.
        outer = QWidget()
        rows = QVBoxLayout(outer)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(scrollable(page), 1)
        rows.addWidget(self.status_label)
        self.status_label.setContentsMargins(10, 0, 10, 6)
        return outer

    def _connect(self) -> None:
        self.compute_button.clicked.connect(self.compute)
        self.stop_button.clicked.connect(self._stop)
        self.plane.currentIndexChanged.connect(lambda _index: self._update_enabled())
        self.tabs.currentChanged.connect(lambda _index: self._update_enabled())
        self.run.currentIndexChanged.connect(lambda _index: self._clear_results())
        self.listing.answered.connect(self._show_runs)
        self.listing.failed.connect(self._failed)
        self.tasks.answered.connect(self._show_result)
        self.tasks.failed.connect(self._failed)
        ask_about_changed_data(self.tasks, self, self._show_computing)
        self.tasks.finished.connect(lambda: self._set_busy(False))
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Apply the colors of the theme to widgets that do not use the palette."""
        colors = theme.current().plots
        for part in (self.contours, self.view, self.line, self.density, self.norms):
            part.set_colors(colors)

    # --- runs -----------------------------------------------------------------

    def reload(self) -> None:
        """Read the list of runs again, keeping the selection."""
        self.listing.ask(RunListTask())
        self._show_status("Loading the list of runs…")

    def _show_runs(self, runs: RunList) -> None:
        records = [record for record in runs.records if not record.going]
        before = self.run.currentData()
        chosen, self._chosen = self._chosen, ""
        selected = {self.run: chosen or before, self.other: self.other.currentData()}
        model = QStandardItemModel(self)
        for record in records:
            item = QStandardItem(
                f"{printable(record.title)} · {record.steps:,} steps · {record.id}"
            )
            item.setData(record.id, Qt.ItemDataRole.UserRole)
            model.appendRow(item)
        for box, run in selected.items():
            box.blockSignals(True)
            box.setModel(model)
            box.setCurrentIndex(max(0, box.findData(run)) if records else -1)
            box.blockSignals(False)
        if self._runs_model is not None:
            self._runs_model.deleteLater()
        self._runs_model = model
        self._show_status(
            ""
            if records
            else "No run is stored yet: press Start in the main window and return when the run has "
            "ended."
        )
        self._update_enabled()
        if self.run.currentData() != before:
            self._clear_results()
        if self._compute_first and records:
            self._compute_first = False
            self.compute()

    def choose(self, run_id: str) -> None:
        """Select a run, as soon as the list has been read."""
        self._chosen = run_id
        self.reload()

    def _update_enabled(self) -> None:
        tab = self.tabs.tabText(self.tabs.currentIndex())
        between = tab == "Plane" and self.plane.currentData() == "runs"
        self.plane.setEnabled(tab == "Plane")
        self.other.setEnabled(between)
        self.points.setEnabled(tab == "Plane")
        self.seed.setEnabled(tab in ("Plane", "Line"))
        self.compute_button.setEnabled(self.run.count() > 0)

    def _clear_results(self) -> None:
        """Remove the results of the previous run."""
        self.contours.set_relief(None)
        self.view.set_relief(None)
        self.line.show_line(None)
        self.density.show_spectrum(None)
        self.eigenvalues.setRowCount(0)
        self.norms.remove_all()
        self.result_text.setText("")
        run = self.run.currentText()
        set_subject(self, run)
        self.setWindowTitle(f"{run} – Loss landscape – OptLab" if run else _TITLE)

    # --- requests ---------------------------------------------------------------

    def compute(self) -> None:
        """Compute the contents of the current tab."""
        run, examples, seed = self.run.currentData(), self.examples.value(), self.seed.value()
        if run is None:
            return
        match self.tabs.tabText(self.tabs.currentIndex()):
            case "Plane":
                along: Along = self.plane.currentData()
                other = self.other.currentData() if along == "runs" else ""
                self.tasks.ask(
                    SliceTask(run, along, other or "", self.points.value(), 0.0, seed, examples)
                )
            case "Line":
                self.tasks.ask(LineTask(run, seed=seed, examples=examples))
            case "Spectrum":
                self.tasks.ask(SpectrumTask(run, examples=examples))
            case _:
                self.tasks.ask(CriticalPointTask(run, examples=examples))
        self._show_computing()

    def _show_computing(self) -> None:
        self._set_busy(True)
        self._show_status("Computing…")

    def _stop(self) -> None:
        self.tasks.shut_down()
        self._set_busy(False)
        self._show_status("Stopped.")

    def _set_busy(self, busy: bool) -> None:
        self.busy.setVisible(busy)
        self.stop_button.setEnabled(busy)

    # --- results --------------------------------------------------------------

    def _show_result(self, answer: Any) -> None:
        match answer:
            case PlaneSlice():
                self._show_plane(answer)
            case LineSlice():
                self.line.show_line(answer)
                lowest = int(np.argmin(answer.loss))
                at, loss, error = (
                    float(np.round(values[lowest], 12))
                    for values in (answer.at, answer.loss, answer.standard_error)
                )
                self._show_status(
                    f"Minimum at {readable(at, 3)}: {readable(loss, 4)} ± {readable(error, 2)}."
                )
            case SpectrumResult():
                self._show_spectrum(answer)
            case CriticalPointResult():
                self._show_point(answer)

    def _failed(self, message: str) -> None:
        self._show_status(message, problem=True)

    def _show_plane(self, result: PlaneSlice) -> None:
        relief = Relief(result.a, result.b, result.loss.T)
        self.contours.canvas.x_axis.set_label(result.labels[0])
        self.contours.canvas.y_axis.set_label(result.labels[1])
        self.contours.set_relief(relief)
        self.view.set_relief(relief)
        if len(result.path) > 1:
            tracks = [Track("Path", 1, result.path)]
            self.contours.set_tracks(tracks)
            self.view.set_tracks(tracks)
        count = len(result.steps)
        if result.explained is None:
            explained = (
                f"The path has {count} point{'s' if count > 1 else ''}, too few to say how much of "
                "it the plane shows."
            )
        elif not np.isfinite(result.explained):
            explained = "The run did not move, so there is no path to draw."
        else:
            start, end = (readable(float(result.off_plane[point]), 3) for point in (0, -1))
            explained = (
                f"The plane explains {result.explained:.1%} of the path's variance ({count} points, "
                f"steps {result.steps[0]:,} to {result.steps[-1]:,}); distance from the plane: "
                f"{start} at the start, {end} at the end."
            )
        self._show_status(
            f"{explained} Minimum in the plane: {readable(float(np.nanmin(result.loss)), 4)}."
        )

    def _show_spectrum(self, result: SpectrumResult) -> None:
        self.density.show_spectrum(result)
        rows = eigenvalue_rows(result)
        self.eigenvalues.setRowCount(len(rows))
        for row, (name, value) in enumerate(rows):
            self.eigenvalues.setItem(row, 0, QTableWidgetItem(name))
            self.eigenvalues.setItem(row, 1, QTableWidgetItem(readable(float(value), 6)))
        parts = [
            f"λ₁ = {readable(float(result.top[0]), 4)}",
            f"trace {readable(result.trace, 4)} ± {readable(result.trace_error, 2)}",
            f"{result.products} Hessian products, relative residual {readable(result.residual, 2)}",
        ]
        parts.append(sign_counts(result))
        if result.rate is not None and result.top[0] > 0.0:
            edge = result.factor / float(result.top[0])
            side = "below" if result.rate < edge else "above"
            parts.append(
                "on a quadratic of this curvature the run's method is stable up to a learning rate "
                f"of {readable(result.factor, 3)}/λ₁ = {readable(edge, 3)}; "
                f"the run's {readable(result.rate, 3)} is {side} it"
            )
        if result.path is not None:
            parts.append(result.path.sentence)
        self._show_status("; ".join(parts) + ".")

    def _show_point(self, result: CriticalPointResult) -> None:
        self.norms.remove_all()
        self.norms.add_curve("norm", "‖g‖", 0, strong=True)
        self.norms.append("norm", np.arange(len(result.norms)), result.norms)
        self.norms.follow()
        self.norms.refresh()
        reached = (
            "The search converged"
            if result.converged
            else "The search diverged to infinity and was stopped"
            if result.runs_off
            else f"The search did not converge: {result.problem}"
        )
        point = "At the critical point" if result.converged else "At its end"
        low, high = float(result.eigenvalues[0]), float(result.eigenvalues[-1])
        self.result_text.setText(
            f"<p><b>At the weights:</b> {escape(result.here)}.<br>"
            f"Objective {readable(result.losses[0], 6)}.</p>"
            f"<p><b>{escape(reached)}</b> at a distance of {readable(result.distance, 3)}.</p>"
            f"<p><b>{point}:</b> {escape(result.there)}.<br>"
            f"Objective {readable(result.losses[1], 6)}, "
            f"eigenvalues from {readable(low, 4)} to "
            f"{readable(high, 4)}.</p>{escape_table(result)}"
        )
        self._show_status(
            "The objective has no minimum in this direction, only an infimum at infinity, as where "
            "classes can be separated; weight decay gives it one."
            if result.runs_off
            else "The critical point that minimizing the gradient norm reaches; it may be a minimum, "
            "a saddle or a maximum."
        )

    def _show_status(self, text: str, *, problem: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setProperty("problem", problem)
        self.status_label.style().unpolish(self.status_label)
        self.status_label.style().polish(self.status_label)

    # --- showing and closing ----------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = self._compute_first = True
            self.reload()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.tasks.shut_down()
        self.listing.shut_down()
        self.closed.emit()
        event.accept()


def _side_by_side(*widgets: QWidget) -> QWidget:
    split = QSplitter(Qt.Orientation.Horizontal)
    split.setChildrenCollapsible(False)
    for widget in widgets:
        split.addWidget(widget)
    split.setSizes([1000, 800])
    return split
