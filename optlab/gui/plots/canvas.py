"""The drawing area: two axes and a view that reports clicks as signals.

It is built from pyqtgraph's parts rather than its PlotItem, which adds a second menu and a second
downsampling and takes ten times as long to set up.
"""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

from optlab.gui.plots.axis import PlotAxis
from optlab.gui.plots.colors import PlotColors

_MAX_DELTA = 1200
"""Largest rotation of the wheel in one event: ten notches."""


class _View(pg.ViewBox):
    """A view box that reports clicks.

    Signals: ``aboutToZoom()``: the user starts to pan or zoom; ``menuWanted(QPoint)``: a right
    click; ``doubleClicked()``.
    """

    aboutToZoom = Signal()
    menuWanted = Signal(object)
    doubleClicked = Signal()

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        self.aboutToZoom.emit()
        # A single event of a free-spinning wheel would overflow pyqtgraph's scale factor.
        event.setDelta(max(-_MAX_DELTA, min(_MAX_DELTA, event.delta())))
        super().wheelEvent(event, axis)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        self.aboutToZoom.emit()
        super().mouseDragEvent(event, axis)

    def mouseClickEvent(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.RightButton:
            event.accept()
            self.menuWanted.emit(event.screenPos().toPoint())
        elif event.button() == Qt.MouseButton.LeftButton and event.double():
            event.accept()
            self.doubleClicked.emit()


class Canvas(pg.GraphicsView):
    """Axes and view.

    Signals: ``aboutToZoom()``: the user starts to pan or zoom; ``zoomed()``: the user panned or
    zoomed; ``viewChanged()``: the range or the size changed; ``hovered(QPointF)``: the mouse is
    over the view, at this scene position; ``left()``: the mouse left the view;
    ``menuWanted(QPoint)``, ``doubleClicked()``.
    """

    aboutToZoom = Signal()
    zoomed = Signal()
    viewChanged = Signal()
    hovered = Signal(QPointF)
    left = Signal()
    menuWanted = Signal(object)
    doubleClicked = Signal()

    def __init__(self, *, steps: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # The surrounding plot takes the focus and shows the menu.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        # Runs are dropped on the tile. Tiles that are dragged over a plot under Wayland are no
        # concern of it, either, and Qt would complain.
        self.setAcceptDrops(False)
        self.viewport().setAcceptDrops(False)
        self.view = _View(enableMenu=False, border=None)
        self.view.disableAutoRange()
        self.view.setDefaultPadding(0.0)
        self.x_axis = PlotAxis("bottom", steps=steps)
        self.y_axis = PlotAxis("left")
        self._layout = layout = pg.GraphicsLayout()
        layout.setContentsMargins(2, 6, 12, 2)
        layout.setSpacing(0)
        layout.addItem(self.y_axis, 0, 0)
        layout.addItem(self.view, 0, 1)
        layout.addItem(self.x_axis, 1, 1)
        self.setCentralItem(layout)
        for axis in (self.x_axis, self.y_axis):
            axis.linkToView(self.view)
            axis.setZValue(-1000)
            axis.fit()
        self.view.aboutToZoom.connect(self.aboutToZoom)
        self.view.sigRangeChangedManually.connect(lambda *_: self.zoomed.emit())
        self.view.sigRangeChanged.connect(lambda *_: self.viewChanged.emit())
        self.view.menuWanted.connect(self.menuWanted)
        self.view.doubleClicked.connect(self.doubleClicked)
        self.scene().sigMouseMoved.connect(self._mouse_moved)
        self._over = False

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.setBackground(colors.background)
        # Room for the halves of the outermost labels.
        self._layout.setContentsMargins(2, 7 * colors.scale - 1, 12 * colors.scale, 2)
        for axis in (self.x_axis, self.y_axis):
            axis.set_colors(colors)

    def _mouse_moved(self, position: QPointF) -> None:
        if self.view.sceneBoundingRect().contains(position):
            self._over = True
            self.hovered.emit(position)
        else:
            self._leave()

    def _leave(self) -> None:
        if self._over:
            self._over = False
            self.left.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self._scrolls_instead():
            event.ignore()
        else:
            super().wheelEvent(event)

    def _scrolls_instead(self) -> bool:
        """Return whether the wheel belongs to a scroll area around the plot.

        It does until the user clicks the plot, so that scrolling a page does not zoom the plots
        that pass under the mouse.
        """
        plot = self.parentWidget()
        focus = QApplication.focusWidget()
        if plot is None or focus is plot or (focus is not None and plot.isAncestorOf(focus)):
            return False
        parent = plot.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        return parent is not None

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._leave()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.viewChanged.emit()
