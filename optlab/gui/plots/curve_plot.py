"""A plot of named curves over steps that grow during a run.

Each curve appends its data to a pyramid; a frame draws from the pyramids what the view shows. The
view either follows the run from its first step to its last, or stays where the user put it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.curve import Curve, Floats
from optlab.gui.plots.legend import Legend
from optlab.gui.plots.linked_plot import LinkedPlot
from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.steady import SteadyRange
from optlab.gui.plots.step_marks import StepMarks
from optlab.gui.plots.step_readout import most_rows, step_readout
from optlab.gui.plots.value_export import KeptValues
from optlab.gui.plots.x_scales import OWN
from optlab.tasks.run_scales import X_LABELS

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


class CurvePlot(LinkedPlot):
    """Curves over steps.

    Args:
        y_label: name of the y axis, with its unit. log_y: start with a logarithmic y axis. floor:
            lower end of a linear y axis, or None to fit the data.
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
        self.empty_text = NOTHING_YET
        self._curves: dict[str, Curve] = {}
        self._steady = SteadyRange(floor)
        self._floor = floor
        self._end = 0.0
        self._frame: tuple[float, float, float, float] | None = None
        # Not a closure over this plot: see tests/gui/plots/test_lifetime.py.
        self.marks = StepMarks(self.canvas.view, self.colors, partial(self.scales.to_axis, OWN))
        self.legend = Legend(self.colors)
        self.legend.switched.connect(self._switched)
        self.header.insertWidget(0, self.legend, 1)
        self.canvas.x_axis.set_label(x_label)
        self.canvas.y_axis.set_label(y_label)
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
        self.menu.insertActions(self.follow_action, [self.log_y_action, self.log_x_action])

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
        self._smooth(curve)
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
        for item in (curve.line, curve.dots, curve.smooth_line):
            if item is not None:
                self.canvas.view.removeItem(item)
        if curve.groups == (key,) and key in self.legend.keys():  # noqa: SIM118 - a method
            self.legend.remove(key)
        self._mark_stale()

    def remove_own(self) -> None:
        """Remove all curves of the run that is followed, and all legend entries."""
        for key, curve in tuple(self._curves.items()):
            if curve.run == OWN:
                self.remove_curve(key)
        for key in self.legend.keys():  # noqa: SIM118 - a method, not a mapping
            self.legend.remove(key)

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
        curve = self._curves[key]
        samples = curve.samples
        at, new_values = np.asarray(steps), np.asarray(values)
        if samples.last is not None and len(at) and at[0] <= samples.last:
            new = at > samples.last
            at, new_values = at[new], new_values[new]
        if len(at):
            samples.append(at, new_values)
            if curve.average is not None:
                curve.average.append(at, new_values)
            self._mark_stale()

    def replace(self, key: str, steps: ArrayLike, values: ArrayLike) -> None:
        """Replace all samples of a curve by ``[n]`` new ones.

        Raises:
            KeyError, ValueError: as :meth:`append`.
        """
        self._curves[key].reset()
        self.append(key, steps, values)
        self._mark_stale()

    def clear(self) -> None:
        """Remove all samples and marks of the run that is followed, and follow new data.

        Curves, and which of them are visible, stay; so do the samples of other runs.
        """
        self.marks.clear()
        self._value_source = None
        for curve in self._curves.values():
            if curve.run == OWN:
                curve.reset()
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
            curve.set_shown(self._switched_on(curve) and not curve.folded)
        self._mark_stale(soon=True)

    def _switched_on(self, curve: Curve) -> bool:
        return all(self.legend.is_checked(group) for group in curve.groups)

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

    def set_frame(self, frame: tuple[float, float, float, float] | None) -> None:
        """Show at least these steps and values, also before there is any data.

        Args:
            frame: first and last step, lowest and highest value, which on a logarithmic axis are
                above 0; None for what the data need.
        """
        self._frame = frame
        self._steady.reset()
        self.follow()

    # --- drawing --------------------------------------------------------------

    def _drawable(self) -> list[Curve]:
        """Return the curves that are visible and have values on the axis."""
        return [
            curve
            for curve in self._curves.values()
            if curve.shown and len(curve.samples) and self.scales.known(curve.run)
        ]

    def _draw(self) -> None:
        curves = self._drawable()
        bounds = [
            extremes
            for curve in curves
            if (extremes := curve.samples.bounds(positive=self.log_y)) is not None
        ]
        if self._frame is not None:
            bounds.append(self._frame[2:])
        message = "" if self._frame is not None else self._reason_empty(curves, bool(bounds))
        self._show_message(message)
        if message:
            self._empty()
            return
        if self.following:
            self._fit(curves, min(low for low, _ in bounds), max(high for _, high in bounds))
        (first, last), _ = self.view_range()
        low, high = self.canvas.view.viewRange()[1]
        far = _MAX_HEIGHTS_OUTSIDE * (high - low)
        columns = self._columns()

        def points(curve: Curve, samples: Pyramid) -> tuple[Floats, Floats]:
            x, y = self.scales.points(
                curve.run,
                samples,
                (first, last),
                columns,
                log_x=self.log_x,
                positive=self.log_y,
            )
            return self._to_view(x, y, low - far, high + far)

        view = (first, last, low, high, columns, self.log_x, self.log_y)
        seen = (*view, self.scales.unit, self.canvas.y_axis.exponent, self.colors)
        for curve in curves:
            # Of many runs that are shown, few grow.
            if curve.outdated(seen, self.scales.of(curve.run)):
                curve.draw(*points(curve, curve.samples), self.colors)
                if curve.smoothed is not None:
                    self._average_line(curve)
                    curve.draw_smoothed(*points(curve, curve.smoothed), self.colors)
        self._empty(curves)
        self._draw_bands(points)

    def _empty(self, drawn: Sequence[Curve] = ()) -> None:
        """Draw nothing of the other curves."""
        left = set(map(id, drawn))
        for curve in self._curves.values():
            if id(curve) not in left:
                curve.outdated((), None)
                curve.draw(np.empty(0), np.empty(0), self.colors)

    def _average_line(self, curve: Curve) -> None:
        """Add the item that draws a moving average: most curves never have one."""
        if curve.smooth_line is None:
            curve.smooth_line = pg.PlotCurveItem(connect="all", skipFiniteCheck=True)
            curve.smooth_line.setZValue(3)
            self.canvas.view.addItem(curve.smooth_line, ignoreBounds=True)

    def _draw_bands(self, points: Callable[[Curve, Pyramid], tuple[Floats, Floats]]) -> None:
        """Draw what lies beneath curves; ``points`` returns samples in view coordinates."""

    def _reason_empty(self, curves: list[Curve], has_bounds: bool) -> str:
        """Return why there is nothing to draw, or an empty text."""
        if not any(len(curve.samples) for curve in self._curves.values()):
            return self.empty_text
        shown = [curve for curve in self._curves.values() if curve.shown and len(curve.samples)]
        if not shown:
            return "All curves with values are hidden: click a name above to show it."
        if not curves:
            unit = X_LABELS[self.scales.unit].lower()
            return f"How many {unit} its steps are is not recorded: choose another horizontal axis."
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
        to_axis = self.scales.to_axis
        # A logarithmic axis begins at the first step.
        least = 1.0 if self.log_x else 0.0
        ends = [
            to_axis(curve.run, max(least, float(end or 0)))
            for curve in curves
            for end in (curve.samples.first, curve.samples.last)
        ]
        if self._frame is not None:
            ends += [to_axis(OWN, max(least, end)) for end in self._frame[:2]]
        first, last = min(ends), max(ends)
        if self.log_x:
            first, last = math.log10(max(1e-9, first)), math.log10(max(1e-9, last))
        last = self._leading_end(first, last)
        if not last > first:
            room = 0.5 if self.log_x or self.scales.unit != "steps" else 1.0
            first, last = first - room, last + room
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
        return max(1, round(_COLUMNS_PER_PIXEL * width / self.colors.scale * self.detail))

    def _to_view(self, x: Floats, y: Floats, low: float, high: float) -> tuple[Floats, Floats]:
        """Return steps and values ``[n]`` in view coordinates, values clipped to the range."""
        if self.log_x:
            x = np.log10(x)
        y = np.log10(y) if self.log_y else y / 10.0**self.canvas.y_axis.exponent
        return x, np.clip(y, low, high)

    # --- what plots share -----------------------------------------------------

    def _readout_html(self, at: float, near: float) -> str:
        places = []
        for curve in self._curves.values():
            if curve.shown and self.scales.known(curve.run):
                step = self.scales.to_step(curve.run, at)
                places.append((curve, step, self.scales.to_step(curve.run, near) - step))
        lines = self.canvas.height() / (self.readout.fontMetrics().height() + 3)
        if any(curve.run for curve in self._curves.values()):
            most = most_rows(lines, here=self._mouse is not None)
            return step_readout(places, self._readout_head(at), self.colors, most)
        return step_readout(places, self._readout_head(at), self.colors)

    def _unit_changed(self) -> None:
        self.marks.set_log(self.log_x)
        self.follow()

    def _choices_changed(self) -> None:
        for curve in self._curves.values():
            if curve.run == OWN:
                self._smooth(curve)

    def _smooth(self, curve: Curve) -> None:
        if self.smoothing != (0.0 if curve.average is None else curve.average.weight):
            curve.smooth(self.smoothing)

    # --- export ---------------------------------------------------------------

    def values_in_view(self) -> tuple[KeptValues, ...]:
        """Return what the plot keeps of the visible curves at the steps of the view.

        The curves that a band stands for are among them.
        """
        (first, last), _ = self.view_range()
        found = []
        for key, curve in self._curves.items():
            exported = curve.shown or (curve.folded and self._switched_on(curve))
            if exported and len(curve.samples):
                begin = self.scales.to_step(curve.run, first)
                end = self.scales.to_step(curve.run, last)
                kept = curve.samples.samples(begin, end)
                found.append(KeptValues(curve.label, begin, end, kept, self._stored_reader(key)))
        return tuple(found)

    # --- colors ---------------------------------------------------------------

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "legend"):
            self.legend.set_colors(self.colors)
            self.marks.set_colors(self.colors)
