"""A plot of named curves over steps that grow while one looks.

Data go into a pyramid a curve at once; a frame draws from the pyramids what the view shows. Either
the view follows the run, from its first step to its last, or it stays where the user has put it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike, NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.curve import Curve, Floats
from optlab.gui.plots.legend import Legend
from optlab.gui.plots.plot_frame import NOTHING_YET, PlotFrame
from optlab.gui.plots.pyramid import Pyramid, Reading
from optlab.gui.plots.steady import SteadyRange
from optlab.gui.plots.ticks import readable

_HANDY = 100
"""Powers of ten beyond which values are drawn in a unit of their own: squares of coordinates must
not overflow.
"""
_REACH = 24
"""Pixels beyond a curve's end within which the readout still tells its value."""
_COLUMNS = 1.25
"""Columns of points to a pixel: a few more than one, so that a dense curve has no light stripes."""
_AHEAD = 0.02
"""Share of the steps by which the view runs ahead of a growing run, so that it need not move with
every frame.
"""
_OUTSIDE = 1e3
"""Heights of the view beyond which points are drawn no farther off."""


class CurvePlot(PlotFrame):
    """Curves over steps.

    Args:
        y_label: name of the y axis, with its unit. log_y: begin with a logarithmic axis. floor:
            lower end of a linear y axis, None for that of the data.
    """

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
        self._marks: list[tuple[float, pg.InfiniteLine]] = []
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

    # --- curves -----------------------------------------------------------------------------------------------------------------

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
        """Add an empty curve, unless there is one of this key.

        Args:
            color: index into the palette. dashes: pattern in pen widths. pale: for noisy ones.
                strong: for those to look at first.
            groups: keys of legend entries (see :meth:`add_group`) that switch it; by default one of
                its own.
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
        """Add a legend entry that switches the curves which name it; a color below 0 is neutral."""
        self.legend.add(key, label, color, tuple(dashes), pale)
        self.legend.entry(key).setChecked(shown)

    def remove_curve(self, key: str) -> None:
        """Remove a curve, and its legend entry where that is its own.

        Raises:
            KeyError: there is none.
        """
        curve = self._curves.pop(key)
        for item in (curve.line, curve.dots):
            self.canvas.view.removeItem(item)
        if curve.groups == (key,):
            self.legend.remove(key)
        self._touch()

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
        """The curve of a key.

        Raises:
            KeyError: there is none.
        """
        return self._curves[key]

    def append(self, key: str, steps: ArrayLike, values: ArrayLike) -> None:
        """Add samples ``[n]``; those at steps already there (an evaluation told twice) are left
        out.

        Raises:
            KeyError: there is no such curve.
            ValueError: the steps do not increase.
        """
        samples = self._curves[key].samples
        at, found = np.asarray(steps), np.asarray(values)
        if samples.last is not None and len(at) and at[0] <= samples.last:
            new = at > samples.last
            at, found = at[new], found[new]
        if len(at):
            samples.append(at, found)
            self._touch()

    def replace(self, key: str, steps: ArrayLike, values: ArrayLike) -> None:
        """Set all samples ``[n]`` of a curve anew.

        Raises:
            KeyError, ValueError: as :meth:`append`.
        """
        fresh = Pyramid()
        fresh.append(steps, values)
        self._curves[key].samples = fresh
        self._touch()

    def clear(self) -> None:
        """Forget all samples and marks, and follow what comes; curves, and which of them are shown,
        stay.
        """
        self._remove_marks()
        for curve in self._curves.values():
            curve.samples = Pyramid()
        self._steady.forget()
        self.follow()

    def set_curve_visible(self, key: str, visible: bool) -> None:
        """Show or hide a curve, as its legend entry does.

        Raises:
            KeyError: there is no such curve.
        """
        for group in self._curves[key].groups:
            self.legend.entry(group).setChecked(visible)

    def curve_visible(self, key: str) -> bool:
        """Whether a curve is shown."""
        return self._curves[key].shown

    def _switched(self, _key: str, _shown: bool) -> None:
        self._apply_switches()
        self._steady.forget()

    def _apply_switches(self) -> None:
        for curve in self._curves.values():
            curve.set_shown(all(self.legend.entry(group).isChecked() for group in curve.groups))
        self._touch(soon=True)

    # --- axes -------------------------------------------------------------------------------------------------------------------

    def set_log_y(self, log: bool) -> None:
        """Draw values on a logarithmic axis, leaving out those that are not positive, or on a
        linear one.
        """
        if log != self.log_y:
            self.log_y = log
            self._axes_changed(self.log_y_action, log)

    def set_log_x(self, log: bool) -> None:
        """Draw steps on a logarithmic axis, leaving out step 0, or on a linear one."""
        if log != self.log_x:
            self.log_x = log
            self._axes_changed(self.log_x_action, log)

    def _axes_changed(self, action: QAction, log: bool) -> None:
        action.setChecked(log)
        self._steady = SteadyRange(None if self.log_y else self._floor)
        self.canvas.x_axis.setLogMode(x=self.log_x, y=False)
        self.canvas.y_axis.setLogMode(x=False, y=self.log_y)
        for step, line in self._marks:
            line.setPos(math.log10(max(step, 1.0)) if self.log_x else step)
        # The old range means nothing on the new axis.
        self.follow()

    def view_range(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last step, least and largest value of the view."""
        (x0, x1), (y0, y1) = self.canvas.view.viewRange()
        steps = (10.0**x0, 10.0**x1) if self.log_x else (x0, x1)
        unit = 10.0**self.canvas.y_axis.exponent
        return steps, (10.0**y0, 10.0**y1) if self.log_y else (y0 * unit, y1 * unit)

    # --- drawing ----------------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        curves = [curve for curve in self._curves.values() if curve.shown and len(curve.samples)]
        bounds = [
            found
            for curve in curves
            if (found := curve.samples.bounds(positive=self.log_y)) is not None
        ]
        message = self._why_nothing(curves, bool(bounds))
        self._say(message)
        if message:
            for curve in self._curves.values():
                curve.draw(np.empty(0), np.empty(0), self.colors)
            return
        if self.following:
            self._fit(curves, min(low for low, _ in bounds), max(high for _, high in bounds))
        (first, last), _ = self.view_range()
        low, high = self.canvas.view.viewRange()[1]
        far = _OUTSIDE * (high - low)
        columns = self._columns()
        for curve in curves:
            x, y = curve.samples.view(first, last, columns, log_x=self.log_x, positive=self.log_y)
            curve.draw(*self._mapped(x, y, low - far, high + far), self.colors)

    def _why_nothing(self, curves: list[Curve], some: bool) -> str:
        """Why there is nothing to draw, or an empty text."""
        if not any(len(curve.samples) for curve in self._curves.values()):
            return self.empty_text
        if not curves:
            return "All curves with values are switched off: click a name above to show it."
        if not some:
            if self.log_y and any(curve.samples.bounds() is not None for curve in curves):
                return "No value is positive, so a logarithmic axis leaves all of them out: right click for a linear one."
            return "No value is finite."
        if self.log_x and all((curve.samples.last or 0) < 1 for curve in curves):
            return "There are no steps after step 0 yet, and a logarithmic axis leaves step 0 out."
        return ""

    def _fit(self, curves: list[Curve], low: float, high: float) -> None:
        first = float(min(curve.samples.first or 0 for curve in curves))
        last = float(max(curve.samples.last or 0 for curve in curves))
        if self.log_x:
            first, last = math.log10(max(1.0, first)), math.log10(max(1.0, last))
        last = self._ahead(first, last)
        if not last > first:
            first, last = (first - 0.5, last + 0.5) if self.log_x else (first - 1.0, last + 1.0)
        exponent = 0
        if self.log_y:
            low, high = math.log10(low), math.log10(high)
        else:
            largest = max(abs(low), abs(high))
            power = math.floor(math.log10(largest)) if largest else 0
            exponent = max(-300, power) if abs(power) > _HANDY else 0
            low, high = low / 10.0**exponent, high / 10.0**exponent
        if exponent != self.canvas.y_axis.exponent:
            self.canvas.y_axis.exponent = exponent
            self._steady.forget()
        view = self.canvas.view
        view.setRange(
            xRange=(first, last),
            yRange=self._steady.fit(low, high),
            padding=0.0,
            disableAutoRange=True,
        )

    def _ahead(self, first: float, last: float) -> float:
        """The right end of the view: stays while the run has not reached it and would not leave too
        much of it empty.
        """
        if not first < last <= self._end <= last + 2.0 * _AHEAD * (last - first):
            self._end = last + _AHEAD * (last - first)
        return self._end

    def mark(self, step: float, text: str) -> None:
        """A thin line at a step, with a few words: something was changed there."""
        line = pg.InfiniteLine(
            pos=math.log10(max(step, 1.0)) if self.log_x else step,
            angle=90,
            movable=False,
            label=text,
            labelOpts={"position": 0.96, "rotateAxis": (1, 0), "anchors": [(1, 1), (1, 1)]},
        )
        self._marks.append((step, line))
        self.canvas.view.addItem(line, ignoreBounds=True)
        self._paint_marks()

    @property
    def marks(self) -> tuple[float, ...]:
        """Steps that are marked."""
        return tuple(step for step, _ in self._marks)

    def _paint_marks(self) -> None:
        color = mixed(self.colors.foreground, self.colors.background, 0.45)
        for _, line in self._marks:
            line.setPen(pg.mkPen(color, style=Qt.PenStyle.DashLine))
            line.label.setColor(color)

    def _remove_marks(self) -> None:
        for _, line in self._marks:
            self.canvas.view.removeItem(line)
        self._marks = []

    def _columns(self) -> int:
        width: float = self.canvas.view.width() * self.canvas.devicePixelRatioF()
        return max(1, round(_COLUMNS * width))

    def _mapped(self, x: Floats, y: Floats, low: float, high: float) -> tuple[Floats, Floats]:
        """Steps and values in the view's coordinates."""
        if self.log_x:
            x = np.log10(x)
        y = np.log10(y) if self.log_y else y / 10.0**self.canvas.y_axis.exponent
        return x, np.clip(y, low, high)

    def _zoomed(self) -> None:
        if self.following:
            # Within what a double tells apart, and not so far out that the data are a speck.
            (x0, x1), (y0, y1) = self.canvas.view.viewRange()
            least = max(abs(y0), abs(y1)) * 1e-9
            self.canvas.view.setLimits(
                minXRange=1e-4 if self.log_x else 0.5,
                maxXRange=max(1.0, x1 - x0) * 1e4,
                minYRange=max(least, (y1 - y0) * 1e-7),
                maxYRange=max(least, (y1 - y0) * 1e4),
            )
        super()._zoomed()

    def follow(self) -> None:
        self.canvas.view.setLimits(minXRange=None, maxXRange=None, minYRange=None, maxYRange=None)
        super().follow()

    # --- readout ----------------------------------------------------------------------------------------------------------------

    def _update_readout(self) -> None:
        if self._mouse is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        place = self.canvas.view.mapSceneToView(self._mouse).x()
        step = 10.0 ** min(place, 300.0) if self.log_x else place
        (first, last), _ = self.view_range()
        pixel = (last - first) / max(1.0, self.canvas.view.width())
        if self.log_x:
            pixel = step * (
                10.0 ** (math.log10(last / first) / max(1.0, self.canvas.view.width())) - 1.0
            )
        rows = []
        for curve in self._curves.values():
            reading = self._reading(curve, step, _REACH * pixel) if curve.shown else None
            if reading is not None:
                rows.append(self._row(curve, reading, step, pixel))
        if not rows:
            self._hide_readout()
            return
        self.crosshair.setPos(place)
        self.crosshair.setVisible(True)
        head = f"<tr><td></td><td>Step</td><td align='right'>&nbsp;{round(step):,}</td></tr>"
        self._show_readout(f"<table cellspacing='0' cellpadding='1'>{head}{''.join(rows)}</table>")

    @staticmethod
    def _reading(curve: Curve, step: float, reach: float) -> Reading | None:
        samples = curve.samples
        if (
            samples.first is None
            or samples.last is None
            or not samples.first - reach <= step <= samples.last + reach
        ):
            return None
        return samples.reading(step)

    def _row(self, curve: Curve, reading: Reading, step: float, pixel: float) -> str:
        value = readable(reading.lowest)
        if reading.highest != reading.lowest and not math.isnan(reading.lowest):
            value = f"{value} … {readable(reading.highest)}"
        # An evaluation is some steps off the mouse; its value shall not pass for one measured here.
        off = max(reading.first - step, step - reading.last, 0.0)
        faint = mixed(self.colors.foreground, self.colors.background, 0.4)
        where = (
            f" <span style='color:{faint}'>at {reading.first:,}</span>"
            if off > max(2 * pixel, 0.5)
            else ""
        )
        label = curve.label.replace("&", "&amp;").replace("<", "&lt;")
        ink = curve.ink(self.colors)
        return f"<tr><td style='color:{ink}'>■&nbsp;</td><td>{label}{where}</td><td align='right'>&nbsp;&nbsp;{value}</td></tr>"

    def _hide_readout(self) -> None:
        super()._hide_readout()
        self.crosshair.setVisible(False)

    # --- taking away ------------------------------------------------------------------------------------------------------------

    def shown_values(self) -> list[tuple[str, NDArray[np.int64], Floats]]:
        """Name, steps and values of every curve as drawn in the view: all samples where it is near,
        least and largest of each pixel where it is far.
        """
        (first, last), _ = self.view_range()
        found = []
        for curve in self._curves.values():
            if curve.shown and len(curve.samples):
                x, y = curve.samples.view(first, last, self._columns(), log_x=self.log_x)
                inside = (x >= first) & (x <= last)
                found.append((curve.label, x[inside].astype(np.int64), y[inside]))
        return found

    def values_text(self, separator: str = ",") -> str:
        """What is drawn as lines ``curve,step,value``; the value is empty in a gap."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerow(("curve", "step", "value"))
        for label, steps, values in self.shown_values():
            writer.writerows(
                (label, int(s), "" if math.isnan(v) else repr(float(v)))
                for s, v in zip(steps, values, strict=True)
            )
        return text.getvalue()

    def copy_values(self) -> None:
        """Put what is drawn on the clipboard, ready for a spreadsheet."""
        QGuiApplication.clipboard().setText(self.values_text("\t"))

    def export_csv(self, path: str) -> None:
        """Write what is drawn as a CSV file; the outcome is told by a signal."""
        try:
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(self.values_text())
        except OSError as error:
            self.exportFailed.emit(f"{path} could not be written: {error.strerror or error}.")
        else:
            self.exported.emit(path)

    def _choose_csv(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export values", "plot.csv", "CSV (*.csv)")
        if path:
            self.export_csv(path)

    # --- colors -----------------------------------------------------------------------------------------------------------------

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "legend"):
            self.legend.set_colors(self.colors)
            self._paint_crosshair()
            self._paint_marks()

    def _paint_crosshair(self) -> None:
        self.crosshair.setPen(
            pg.mkPen(mixed(self.colors.background, self.colors.foreground, 0.4), width=1)
        )
