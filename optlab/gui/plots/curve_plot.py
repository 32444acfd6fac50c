"""A plot of named curves over steps that grow during a run.

Each curve appends its data to a pyramid; a frame draws from the pyramids what the view shows. The
view either follows the run from its first step to its last, or stays where the user put it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike
from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from optlab.gui.bridge import TaskBridge
from optlab.gui.plots.colors import mixed
from optlab.gui.plots.curve import Curve, Floats
from optlab.gui.plots.legend import Legend
from optlab.gui.plots.plot_frame import NOTHING_YET, PlotFrame
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.steady import SteadyRange
from optlab.gui.plots.step_marks import StepMarks
from optlab.gui.plots.step_readout import step_readout
from optlab.gui.plots.subject import file_name, subject_of
from optlab.gui.plots.value_export import KeptValues, StoredReader, ValueSource, ValuesTask

_MAX_PLAIN_POWER = 100
"""Powers of ten beyond which values are scaled before they are drawn: squares of coordinates must
not overflow.
"""
_COLUMNS_PER_PIXEL = 1.25
"""Columns of points a pixel: slightly more than one, so that a dense curve has no light stripes."""
_LEAD = 0.02
"""Share of the steps by which the view leads a growing run, so that it need not move each frame."""
_MAX_HEIGHTS_OUTSIDE = 1e3
"""Points farther outside the view than this many times its height are clipped."""


class CurvePlot(PlotFrame):
    """Curves over steps.

    Args:
        y_label: name of the y axis, with its unit. log_y: start with a logarithmic y axis. floor:
            lower end of a linear y axis, or None to fit the data.

    Signals: ``copied()``: the values are in the clipboard.
    """

    copied = Signal()

    def __init__(
        self,
        y_label: str = "",
        *,
        x_label: str = "Steps",
        log_y: bool = False,
        floor: float | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent=parent)
        self.log_x = False
        self.log_y = False
        self.empty_text = NOTHING_YET
        self._curves: dict[str, Curve] = {}
        self._steady = SteadyRange(floor)
        self._floor = floor
        self._end = 0.0
        self._value_source: ValueSource | None = None
        self._writing: TaskBridge | None = None
        self.marks = StepMarks(self.canvas.view, self.colors)
        self.legend = Legend(self.colors)
        self.legend.switched.connect(self._switched)
        self.header.insertWidget(0, self.legend, 1)
        self.canvas.x_axis.set_label(x_label)
        self.canvas.y_axis.set_label(y_label)
        self.crosshair = pg.InfiniteLine(angle=90, movable=False)
        self.crosshair.setVisible(False)
        self.canvas.view.addItem(self.crosshair, ignoreBounds=True)
        self._paint_crosshair()
        self._add_actions()
        self.set_log_y(log_y)

    def _add_actions(self) -> None:
        self.log_y_action, self.log_x_action = (
            QAction("Logarithmic y axis", self),
            QAction("Logarithmic step axis", self),
        )
        for action, switch in (
            (self.log_y_action, self.set_log_y),
            (self.log_x_action, self.set_log_x),
        ):
            action.setCheckable(True)
            action.toggled.connect(switch)
        self.copy_action = QAction("Copy values", self)
        self.copy_action.triggered.connect(self.copy_values)
        self.csv_action = QAction("Export values as CSV…", self)
        self.csv_action.triggered.connect(self._choose_csv)
        self.menu.insertActions(self.follow_action, [self.log_y_action, self.log_x_action])
        self.menu.insertActions(self.image_action, [self.copy_action, self.csv_action])

    # --- curves ---------------------------------------------------------------

    def add_curve(
        self,
        key: str,
        label: str,
        color: int = 0,
        *,
        dashes: Sequence[float] = (),
        pale: bool = False,
        strong: bool = False,
        shown: bool = True,
        groups: Sequence[str] = (),
    ) -> None:
        """Add an empty curve, unless the key exists.

        Args:
            color: index into the palette. dashes: pattern in pen widths. pale: draw faintly, for
                noisy series. strong: draw thicker, for the most important series.
            groups: keys of legend entries (see :meth:`add_group`) that switch the curve; by
                default an entry of its own.
        """
        if key in self._curves:
            return
        if not groups:
            self.add_group(key, label, color, dashes=dashes, pale=pale, shown=shown)
        curve = Curve(label, color, tuple(dashes), pale, strong, tuple(groups) or (key,))
        self._curves[key] = curve
        self.canvas.view.addItem(curve.line, ignoreBounds=True)
        self.canvas.view.addItem(curve.dots, ignoreBounds=True)
        self._apply_switches()

    def add_group(
        self,
        key: str,
        label: str,
        color: int = -1,
        *,
        dashes: Sequence[float] = (),
        pale: bool = False,
        shown: bool = True,
    ) -> None:
        """Add a legend entry that switches the curves that name it; a color below 0 is neutral."""
        self.legend.add(key, label, color, tuple(dashes), pale)
        self.legend.entry(key).setChecked(shown)

    def remove_curve(self, key: str) -> None:
        """Remove a curve, and its legend entry if no other curve shares it.

        Raises:
            KeyError: there is none.
        """
        curve = self._curves.pop(key)
        for item in (curve.line, curve.dots):
            self.canvas.view.removeItem(item)
        if curve.groups == (key,):
            self.legend.remove(key)
        self._mark_stale()

    def remove_all(self) -> None:
        """Remove all curves and legend entries."""
        for key in tuple(self._curves):
            self.remove_curve(key)
        for key in self.legend.keys():  # noqa: SIM118 - a method, not a mapping
            self.legend.remove(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the curves, in order."""
        return tuple(self._curves)

    def curve(self, key: str) -> Curve:
        """Return the curve of a key.

        Raises:
            KeyError: there is none.
        """
        return self._curves[key]

    def append(self, key: str, steps: ArrayLike, values: ArrayLike) -> None:
        """Append samples ``[n]``, skipping steps that the curve already has.

        Raises:
            KeyError: there is no such curve.
            ValueError: the steps do not increase.
        """
        samples = self._curves[key].samples
        at, new_values = np.asarray(steps), np.asarray(values)
        if samples.last is not None and len(at) and at[0] <= samples.last:
            new = at > samples.last
            at, new_values = at[new], new_values[new]
        if len(at):
            samples.append(at, new_values)
            self._mark_stale()

    def replace(self, key: str, steps: ArrayLike, values: ArrayLike) -> None:
        """Replace all samples of a curve by ``[n]`` new ones.

        Raises:
            KeyError, ValueError: as :meth:`append`.
        """
        fresh = Pyramid()
        fresh.append(steps, values)
        self._curves[key].samples = fresh
        self._mark_stale()

    def clear(self) -> None:
        """Remove all samples and marks, and follow new data.

        Curves, and which of them are visible, stay.
        """
        self.marks.clear()
        self._value_source = None
        for curve in self._curves.values():
            curve.samples = Pyramid()
        self._steady.reset()
        self.follow()

    def set_curve_visible(self, key: str, visible: bool) -> None:
        """Show or hide a curve, as its legend entry does.

        Raises:
            KeyError: there is no such curve.
        """
        for group in self._curves[key].groups:
            self.legend.entry(group).setChecked(visible)

    def curve_visible(self, key: str) -> bool:
        """Return whether a curve is visible.

        Raises:
            KeyError: there is no such curve.
        """
        return self._curves[key].shown

    def _switched(self, _key: str, _shown: bool) -> None:
        self._apply_switches()
        self._steady.reset()

    def _apply_switches(self) -> None:
        for curve in self._curves.values():
            curve.set_shown(all(self.legend.entry(group).isChecked() for group in curve.groups))
        self._mark_stale(soon=True)

    # --- axes -----------------------------------------------------------------

    def set_log_y(self, log: bool) -> None:
        """Make the y axis logarithmic, which leaves out values that are not positive, or linear."""
        if log != self.log_y:
            self.log_y = log
            self._axes_changed(self.log_y_action, log)

    def set_log_x(self, log: bool) -> None:
        """Make the step axis logarithmic, which leaves out step 0, or linear."""
        if log != self.log_x:
            self.log_x = log
            self._axes_changed(self.log_x_action, log)

    def _axes_changed(self, action: QAction, log: bool) -> None:
        action.setChecked(log)
        self._steady = SteadyRange(None if self.log_y else self._floor)
        self.canvas.x_axis.setLogMode(x=self.log_x, y=False)
        self.canvas.y_axis.setLogMode(x=False, y=self.log_y)
        self.marks.set_log(self.log_x)
        # The old range is meaningless on the new axis.
        self.follow()

    def view_range(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return (first step, last step) and (lowest value, highest value) of the view."""
        (x0, x1), (y0, y1) = self.canvas.view.viewRange()
        steps = (10.0**x0, 10.0**x1) if self.log_x else (x0, x1)
        unit = 10.0**self.canvas.y_axis.exponent
        return steps, (10.0**y0, 10.0**y1) if self.log_y else (y0 * unit, y1 * unit)

    # --- drawing --------------------------------------------------------------

    def _draw(self) -> None:
        curves = [curve for curve in self._curves.values() if curve.shown and len(curve.samples)]
        bounds = [
            extremes
            for curve in curves
            if (extremes := curve.samples.bounds(positive=self.log_y)) is not None
        ]
        message = self._reason_empty(curves, bool(bounds))
        self._show_message(message)
        if message:
            for curve in self._curves.values():
                curve.draw(np.empty(0), np.empty(0), self.colors)
            return
        if self.following:
            self._fit(curves, min(low for low, _ in bounds), max(high for _, high in bounds))
        (first, last), _ = self.view_range()
        low, high = self.canvas.view.viewRange()[1]
        far = _MAX_HEIGHTS_OUTSIDE * (high - low)
        columns = self._columns()
        for curve in curves:
            x, y = curve.samples.view(first, last, columns, log_x=self.log_x, positive=self.log_y)
            curve.draw(*self._to_view(x, y, low - far, high + far), self.colors)

    def _reason_empty(self, curves: list[Curve], has_bounds: bool) -> str:
        """Return why there is nothing to draw, or an empty text."""
        if not any(len(curve.samples) for curve in self._curves.values()):
            return self.empty_text
        if not curves:
            return "All curves with values are hidden: click a name above to show it."
        if not has_bounds:
            if self.log_y and any(curve.samples.bounds() is not None for curve in curves):
                return (
                    "No value is positive, so a logarithmic axis leaves all of them out: "
                    "right-click for a linear axis."
                )
            return "No value is finite."
        if self.log_x and all((curve.samples.last or 0) < 1 for curve in curves):
            return "No steps after step 0 yet; a logarithmic axis leaves step 0 out."
        return ""

    def _fit(self, curves: list[Curve], low: float, high: float) -> None:
        first = float(min(curve.samples.first or 0 for curve in curves))
        last = float(max(curve.samples.last or 0 for curve in curves))
        if self.log_x:
            first, last = math.log10(max(1.0, first)), math.log10(max(1.0, last))
        last = self._leading_end(first, last)
        if not last > first:
            first, last = (first - 0.5, last + 0.5) if self.log_x else (first - 1.0, last + 1.0)
        exponent = 0
        if self.log_y:
            low, high = math.log10(low), math.log10(high)
        else:
            largest = max(abs(low), abs(high))
            power = math.floor(math.log10(largest)) if largest else 0
            exponent = max(-300, power) if abs(power) > _MAX_PLAIN_POWER else 0
            low, high = low / 10.0**exponent, high / 10.0**exponent
        if exponent != self.canvas.y_axis.exponent:
            self.canvas.y_axis.exponent = exponent
            self._steady.reset()
        view = self.canvas.view
        view.setRange(
            xRange=(first, last),
            yRange=self._steady.fit(low, high),
            padding=0.0,
            disableAutoRange=True,
        )

    def _leading_end(self, first: float, last: float) -> float:
        """Return the right end of the view.

        It stays until the run reaches it, unless too much of the view would be empty.
        """
        if not first < last <= self._end <= last + 2.0 * _LEAD * (last - first):
            self._end = last + _LEAD * (last - first)
        return self._end

    def mark(self, step: float, text: str) -> None:
        """Draw a thin vertical line at a step with a short label, where something was changed."""
        self.marks.add(step, text, log=self.log_x)

    def set_cursor(self, step: float | None) -> None:
        """Draw a line at the step that is looked at; None for none."""
        self.marks.set_cursor(step, log=self.log_x)

    def _columns(self) -> int:
        width: float = self.canvas.view.width() * self.canvas.devicePixelRatioF()
        return max(1, round(_COLUMNS_PER_PIXEL * width / self.colors.scale))

    def _to_view(self, x: Floats, y: Floats, low: float, high: float) -> tuple[Floats, Floats]:
        """Return steps and values ``[n]`` in view coordinates, values clipped to the range."""
        if self.log_x:
            x = np.log10(x)
        y = np.log10(y) if self.log_y else y / 10.0**self.canvas.y_axis.exponent
        return x, np.clip(y, low, high)

    # --- readout --------------------------------------------------------------

    def _update_readout(self) -> None:
        if self._mouse is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        x = self.canvas.view.mapSceneToView(self._mouse).x()
        step = 10.0 ** min(x, 300.0) if self.log_x else x
        (first, last), _ = self.view_range()
        pixel = (last - first) / max(1.0, self.canvas.view.width())
        if self.log_x:
            pixel = step * (
                10.0 ** (math.log10(last / first) / max(1.0, self.canvas.view.width())) - 1.0
            )
        html = step_readout(
            (curve for curve in self._curves.values() if curve.shown), step, pixel, self.colors
        )
        if not html:
            self._hide_readout()
            return
        self.crosshair.setPos(x)
        self.crosshair.setVisible(True)
        self._show_readout(html)

    def _hide_readout(self) -> None:
        super()._hide_readout()
        self.crosshair.setVisible(False)

    # --- export ---------------------------------------------------------------

    def values_in_view(self) -> tuple[KeptValues, ...]:
        """Return what the plot keeps of the visible curves at the steps of the view."""
        (first, last), _ = self.view_range()
        return tuple(
            KeptValues(
                curve.label,
                first,
                last,
                curve.samples.samples(first, last),
                self._stored_reader(key),
            )
            for key, curve in self._curves.items()
            if curve.shown and len(curve.samples)
        )

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where values are read that the plot no longer keeps; None for nowhere."""
        self._value_source = source

    def _stored_reader(self, key: str) -> StoredReader:
        """Return a function, for any thread, that reads all stored values of a curve."""
        return lambda: None

    def copy_values(self) -> None:
        """Copy all values of the view; emit ``copied``, or ``exportFailed`` if some are missing."""
        self._export(ValuesTask(self.values_in_view(), "\t"))

    def export_csv(self, path: str) -> None:
        """Write all values of the view as a CSV file; emit ``exported`` or ``exportFailed``."""
        self._export(ValuesTask(self.values_in_view(), ",", Path(path)))

    def _export(self, task: ValuesTask) -> None:
        """Execute a task in the background: values may have to be read from the store."""
        if self._writing is None:
            self._writing = TaskBridge(None, self)
            self._writing.answered.connect(self._written)
            self._writing.failed.connect(self.exportFailed)
        self._writing.ask(task)

    def _written(self, result: str | Path) -> None:
        if isinstance(result, Path):
            self.exported.emit(str(result))
        else:
            QGuiApplication.clipboard().setText(result)
            self.copied.emit()

    def _choose_csv(self) -> None:
        name = file_name(subject_of(self), self.accessibleName(), "csv")
        path, _ = QFileDialog.getSaveFileName(self, "Export values", name, "CSV (*.csv)")
        if path:
            self.export_csv(path)

    # --- colors ---------------------------------------------------------------

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "legend"):
            self.legend.set_colors(self.colors)
            self._paint_crosshair()
            self.marks.set_colors(self.colors)

    def _paint_crosshair(self) -> None:
        self.crosshair.setPen(
            pg.mkPen(
                mixed(self.colors.background, self.colors.foreground, 0.4), width=self.colors.scale
            )
        )
