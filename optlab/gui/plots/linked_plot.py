"""A plot over steps that shares the unit of its axis and its crosshair with others."""

from __future__ import annotations

import math
from abc import abstractmethod

import pyqtgraph as pg
from PySide6.QtCore import QObject, QPointF
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.plot_link import PlotLink
from optlab.gui.plots.values_plot import ValuesPlot
from optlab.gui.plots.x_scales import OWN, XScales
from optlab.tasks.run_scales import X_LABELS, RunScale


class LinkedPlot(ValuesPlot):
    """A plot over steps with a crosshair.

    Attributes:
        scales: unit of the horizontal axis, and the steps of runs in it.
        log_x, log_y: whether the axes are logarithmic.
        crosshair: the vertical line at the position that is read out.
    """

    def __init__(self, *, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.scales = XScales()
        self.log_x = self.log_y = False
        self._link: PlotLink | None = None
        self._pointed_at: float | None = None
        self.crosshair = pg.InfiniteLine(angle=90, movable=False)
        self.crosshair.setVisible(False)
        self.canvas.view.addItem(self.crosshair, ignoreBounds=True)
        self._paint_crosshair()

    @property
    def smoothing(self) -> float:
        """Weight of the past in the moving averages of the curves; 0 without any."""
        return 0.0 if self._link is None else self._link.smoothing

    def set_link(self, link: PlotLink) -> None:
        """Share unit, smoothing, bands and crosshair with the other plots of a link."""
        self._link = link
        for menu in link.menus:
            self.menu.insertMenu(self.follow_action, menu)
        link.changed.connect(self._link_changed)
        link.pointed.connect(self._point)
        self._link_changed()

    def set_scale(self, scale: RunScale | None) -> None:
        """Set how the steps of the run that is followed are converted; None if not known."""
        self.scales.set(OWN, scale)
        self._mark_stale(soon=True)

    def _link_changed(self) -> None:
        assert self._link is not None
        if self._link.unit != self.scales.unit:
            self.scales.unit = self._link.unit
            self._pointed_at = None
            self.canvas.x_axis.set_label(X_LABELS[self._link.unit])
            self._unit_changed()
        self._choices_changed()
        self._mark_stale(soon=True)

    def _unit_changed(self) -> None:
        """Apply another unit of the axis."""

    def _choices_changed(self) -> None:
        """Apply smoothing and bands."""

    def view_range(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return (first step, last step) and (lowest value, highest value) of the view."""
        (x0, x1), (y0, y1) = self.canvas.view.viewRange()
        steps = (10.0**x0, 10.0**x1) if self.log_x else (x0, x1)
        unit = 10.0**self.canvas.y_axis.exponent
        return steps, (10.0**y0, 10.0**y1) if self.log_y else (y0 * unit, y1 * unit)

    # --- the crosshair --------------------------------------------------------

    @abstractmethod
    def _readout_html(self, at: float, near: float) -> str:
        """Return the values at a position of the axis; ``near`` is a pixel to its right."""

    def _readout_head(self, at: float) -> tuple[str, str]:
        if self.scales.unit == "steps":
            return "Step", f"{round(at):,}"
        return X_LABELS[self.scales.unit], f"{at:,.4g}"

    def _update_readout(self) -> None:
        at = self._position()
        if at is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        (first, last), _ = self.view_range()
        width = max(1.0, self.canvas.view.width())
        near = at * (last / first) ** (1.0 / width) if self.log_x else at + (last - first) / width
        html = self._readout_html(at, near)
        if not html:
            self._hide_readout()
            return
        x = math.log10(at) if self.log_x else at
        self.crosshair.setPos(x)
        self.crosshair.setVisible(True)
        self._show_readout(html, self.canvas.view.mapViewToScene(QPointF(x, 0.0)).x())

    def _position(self) -> float | None:
        """Return the position on the axis under the mouse, here or in a linked plot."""
        if self._mouse is None:
            inside = self._pointed_at
            (first, last), _ = self.view_range()
            return inside if inside is not None and first <= inside <= last else None
        x = float(self.canvas.view.mapSceneToView(self._mouse).x())
        return 10.0 ** min(x, 300.0) if self.log_x else x

    def _hovered(self, position: QPointF) -> None:
        super()._hovered(position)
        if self._link is not None:
            self._link.pointed.emit(self._position(), self)

    def _unhovered(self) -> None:
        super()._unhovered()
        if self._link is not None:
            self._link.pointed.emit(None, self)

    def _point(self, at: float | None, source: QObject) -> None:
        """Show the crosshair of another plot."""
        if source is not self and (at is not None or self._pointed_at is not None):
            self._pointed_at = at
            if self.isVisible():
                self._update_readout()

    def _hide_readout(self) -> None:
        super()._hide_readout()
        self.crosshair.setVisible(False)

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "crosshair"):
            self._paint_crosshair()

    def _paint_crosshair(self) -> None:
        self.crosshair.setPen(
            pg.mkPen(
                mixed(self.colors.background, self.colors.foreground, 0.4), width=self.colors.line
            )
        )
