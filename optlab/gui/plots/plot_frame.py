"""The base of all plots: a canvas with a header, a message, a readout and a menu.

The header holds a legend, and the corner between the axes the Follow button; a message replaces the
canvas while there is nothing to draw; the readout follows the mouse. New data only mark a plot as
stale: it is drawn once a frame, by :meth:`PlotFrame.refresh`, and only while it is visible.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPixmap,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.canvas import Canvas
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.subject import file_name, subject_of

NOTHING_YET = "Nothing measured yet…"

_LIMITS = (
    *("xMin", "xMax", "minXRange", "maxXRange"),
    *("yMin", "yMax", "minYRange", "maxYRange"),
)
_NO_LIMITS = dict(zip(_LIMITS, (-1e307, 1e307, None, None) * 2, strict=True))
_MAX_LOG_STEP = 18.0
"""Largest power of ten on a logarithmic x axis: steps are 64-bit integers."""
_MAX_LOG_VALUE = 300.0
"""Largest power of ten on a logarithmic y axis: the next ones are not finite."""
_MAX_ZOOM_OUT = 1e4
_MAX_ZOOM_IN = 1e7


def axis_limits(
    low: float, high: float, *, log: bool, largest: float
) -> tuple[float, float, float, float]:
    """Return lowest and highest coordinate, smallest and largest range of an axis.

    Args:
        low, high: range that fits the data. log: whether these are logarithms. largest: largest
            magnitude of a logarithm.
    """
    if log:
        return -largest, largest, 1e-4, 2.0 * largest
    span = max(high - low, max(abs(low), abs(high)) * 1e-9, 1e-300)
    # Doubles cannot resolve less than the first part, relative to the position of the data.
    smallest = max(max(abs(low), abs(high)) * 1e-9, span / _MAX_ZOOM_IN)
    far = 0.5 * _MAX_ZOOM_OUT * span
    # The widest view is all of it, so the data never leave a view by zooming out.
    return low - far, high + far, smallest, high - low + 2.0 * far


class PlotFrame(QWidget):
    """Base of the plots.

    Signals: ``followingChanged(bool)``; ``exported(str)``: this file was written;
    ``exportFailed(str)``: an error message.
    """

    followingChanged = Signal(bool)
    exported = Signal(str)
    exportFailed = Signal(str)

    def __init__(self, *, steps: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colors = LIGHT
        self.following = True
        self.detail = 1.0
        self._stale = True
        self._drawing = False
        self._mouse: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(60, 40)

        self.canvas = Canvas(steps=steps)
        self.message = PlainLabel(NOTHING_YET)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setWordWrap(True)
        self.readout = QLabel(self.canvas)
        self.readout.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.readout.setTextFormat(Qt.TextFormat.RichText)
        self.readout.hide()
        # In the corner between the axes, which is empty: a button in the header would take its room
        # from the legend all the time.
        self.follow_button = QToolButton(self.canvas)
        self.follow_button.setText("Follow")
        self.follow_button.setToolTip("Show the entire run and follow it (F or double-click)")
        self.follow_button.clicked.connect(self.follow)
        self.follow_button.hide()

        self.header = QHBoxLayout()
        self.header.setContentsMargins(8, 2, 6, 0)
        self.header.setSpacing(4)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.message)
        self._stack.addWidget(self.canvas)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self.header)
        layout.addLayout(self._stack, 1)

        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.timeout.connect(self.refresh)
        self.canvas.viewChanged.connect(self._view_changed)
        self.canvas.viewChanged.connect(self._place_follow_button)
        self.canvas.aboutToZoom.connect(self._limit_view)
        self.canvas.zoomed.connect(self._zoomed)
        self.canvas.doubleClicked.connect(self.follow)
        self.canvas.menuWanted.connect(self._show_menu)
        self.canvas.hovered.connect(self._hovered)
        self.canvas.left.connect(self._unhovered)

        self.menu = QMenu(self)
        self.follow_action = QAction("Follow the run", self)
        self.follow_action.setShortcut(QKeySequence("F"))
        self.follow_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.follow_action.setCheckable(True)
        self.follow_action.setChecked(True)
        self.follow_action.triggered.connect(self.follow)
        self.image_action = QAction("Export image…", self)
        self.image_action.triggered.connect(self._choose_image)
        self.addAction(self.follow_action)
        self.menu.addAction(self.follow_action)
        self.menu.addSeparator()
        self.menu.addAction(self.image_action)
        self.exportFailed.connect(self._show_export_problem)
        self._paint_colors()

    # --- drawing --------------------------------------------------------------

    def refresh(self) -> bool:
        """Draw pending changes if the plot is visible, and return whether there were any."""
        if not self._stale or not self.isVisible():
            return False
        self._stale = False
        self._drawing = True
        try:
            self._draw()
            self._update_readout()
        finally:
            self._drawing = False
        return True

    def redraw(self, detail: float = 1.0) -> None:
        """Draw everything now, also where the plot is not visible.

        Args:
            detail: points of curves in relation to those that the screen can show.
        """
        self.detail, self._drawing = detail, True
        try:
            self._draw()
        finally:
            self.detail, self._drawing = 1.0, False

    @abstractmethod
    def _draw(self) -> None:
        """Draw everything.

        Qt's metaclass excludes that of ABC, so a test checks that every plot implements the
        abstract methods.
        """

    def _mark_stale(self, *, soon: bool = False) -> None:
        """Schedule a redraw.

        Args:
            soon: the user caused the change, so do not wait for the next frame of a run.
        """
        self._stale = True
        if soon:
            self._redraw.start(0)

    def _show_message(self, message: str) -> None:
        """Show a message in place of the canvas, or the canvas if the message is empty."""
        page: QWidget = self.canvas
        if message:
            page = self.message
            if self.message.text() != message:
                self.message.setText(message)
            self._hide_readout()
        if self._stack.currentWidget() is not page:
            self._stack.setCurrentWidget(page)

    def _view_changed(self) -> None:
        if not self._drawing:
            self._mark_stale(soon=True)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._mark_stale(soon=True)

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(event.rect(), QColor(self.colors.background))

    # --- following ------------------------------------------------------------

    def follow(self) -> None:
        """Show the entire run and follow it."""
        self.canvas.view.setLimits(**_NO_LIMITS)
        self._set_following(True)
        self._mark_stale(soon=True)

    def _limit_view(self) -> None:
        """Keep panning and zooming within numbers that axes and curves can show.

        A linear axis stays within ten thousand times the range that was fitted to the data, a
        logarithmic one within the powers of ten of a double.
        """
        if not self.following:
            return
        x, y = self.canvas.view.viewRange()
        values = (
            *axis_limits(*x, log=self.canvas.x_axis.log, largest=_MAX_LOG_STEP),
            *axis_limits(*y, log=self.canvas.y_axis.log, largest=_MAX_LOG_VALUE),
        )
        self.canvas.view.setLimits(**dict(zip(_LIMITS, values, strict=True)))

    def _zoomed(self) -> None:
        self._set_following(False)
        self._mark_stale(soon=True)

    def _set_following(self, following: bool) -> None:
        self.follow_action.setChecked(following)
        self.follow_button.setVisible(not following)
        self._place_follow_button()
        if self.following != following:
            self.following = following
            self.followingChanged.emit(following)

    # --- the mouse ------------------------------------------------------------

    def _hovered(self, position: QPointF) -> None:
        self._mouse = position
        self._update_readout()

    def _unhovered(self) -> None:
        self._mouse = None
        self._hide_readout()

    @abstractmethod
    def _update_readout(self) -> None:
        """Show the values at :attr:`_mouse`."""

    def _place_follow_button(self) -> None:
        if not self.follow_button.isHidden():
            self.follow_button.adjustSize()
            room = self.canvas.height() - self.follow_button.height()
            self.follow_button.move(2, max(0, room - 2))

    def _hide_readout(self) -> None:
        self.readout.hide()

    def _show_readout(self, html: str, at: float | None = None) -> None:
        """Show the readout in the upper corner away from the mouse, or from ``at`` in the scene."""
        if at is None:
            if self._mouse is None:
                return
            at = self._mouse.x()
        self.readout.setText(html)
        self.readout.adjustSize()
        area = self.canvas.view.sceneBoundingRect()
        on_the_left = at > area.center().x()
        x = area.left() + 8 if on_the_left else area.right() - self.readout.width() - 8
        self.readout.move(QPoint(max(0, round(x)), round(area.top() + 6)))
        self.readout.show()

    # --- the menu -------------------------------------------------------------

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self._show_menu(event.globalPos())

    def _show_menu(self, position: QPoint) -> None:
        self.menu.popup(position)

    def _choose_image(self) -> None:
        path, _ = file_dialogs.save_file(
            self,
            "Export image",
            file_name(subject_of(self), self.accessibleName(), "png"),
            "PNG image (*.png)",
        )
        if path:
            self.export_image(path)

    def export_image(self, path: str) -> None:
        """Write the plot with its legend as a PNG file; emit ``exported`` or ``exportFailed``.

        What the plot shows, for example the name of the run, stands above it.
        """
        self._hide_readout()
        if self._with_subject(self.grab()).save(path, "PNG"):
            self.exported.emit(path)
        else:
            self.exportFailed.emit(
                f"{path} could not be written: check that the folder exists and is writable."
            )

    def _with_subject(self, picture: QPixmap) -> QPixmap:
        """Return a picture with a line above it that says what the plot shows."""
        subject = subject_of(self)
        if not subject:
            return picture
        metrics = self.fontMetrics()
        width, line = picture.deviceIndependentSize().width(), metrics.height() + 8
        height = picture.deviceIndependentSize().height() + line
        ratio = picture.devicePixelRatio()
        complete = QPixmap(round(width * ratio), round(height * ratio))
        complete.setDevicePixelRatio(ratio)
        complete.fill(QColor(self.colors.background))
        with QPainter(complete) as painter:
            painter.setFont(self.font())
            painter.setPen(QColor(self.colors.foreground))
            shown = metrics.elidedText(subject, Qt.TextElideMode.ElideRight, round(width) - 16)
            painter.drawText(QPointF(8.0, 4.0 + metrics.ascent()), shown)
            painter.drawPixmap(QPointF(0.0, float(line)), picture)
        return complete

    def _show_export_problem(self, message: str) -> None:
        box = QMessageBox(QMessageBox.Icon.Warning, "Export", "", parent=self)
        # It names a file, whose name may look like HTML.
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(message)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    # --- colors ---------------------------------------------------------------

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme, and the ratio of the screen where they have none."""
        ratio = self.devicePixelRatioF()
        if colors.ratio is None and ratio != 1.0:
            colors = replace(colors, ratio=ratio)
        self.colors = colors
        self._paint_colors()
        self._mark_stale(soon=True)
        self.update()

    def event(self, event: QEvent) -> bool:  # Qt's name
        """Draw lines as thick on another screen, which may have smaller pixels."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self.set_colors(replace(self.colors, ratio=None))
        return super().event(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            for axis in (self.canvas.x_axis, self.canvas.y_axis):
                axis.fit()

    def _paint_colors(self) -> None:
        colors = self.colors
        self.canvas.set_colors(colors)
        quiet = mixed(colors.foreground, colors.background, 0.35)
        self.message.setStyleSheet(f"background: transparent; color: {quiet}; padding: 12px;")
        self.readout.setStyleSheet(
            f"background: {mixed(colors.background, colors.foreground, 0.04)};"
            f" color: {colors.foreground};"
            f" border: 1px solid {colors.grid}; border-radius: 4px; padding: 3px 6px;"
        )
        edge = mixed(colors.background, colors.foreground, 0.25)
        self.follow_button.setStyleSheet(
            f"QToolButton {{ background: {mixed(colors.background, colors.foreground, 0.06)};"
            f" color: {colors.foreground};"
            f" border: 1px solid {edge}; border-radius: 4px; padding: 1px 7px; }}"
            "QToolButton:hover"
            f" {{ background: {mixed(colors.background, colors.foreground, 0.14)}; }}"
        )
