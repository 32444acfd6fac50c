"""The frame of the main window: its menu bar, its places and the control bar, without their content.

This is what the first paint shows. It needs Qt and nothing else, so the window is there before
NumPy, the catalogue and the plots are imported. What comes later goes into regions that have their
final size already, so nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QMainWindow,
    QMenu,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.time_panel import TimePanel
from optlab.gui.places import Places
from optlab.gui.plain_text import PlainLabel

LARGE_MODULES = (
    "numpy",
    "optlab.experiment",
    "pyqtgraph",
    "optlab.gui.bridge",
    "optlab.gui.panels.plots_panel",
    "optlab.gui.window_parts",
)
"""What takes long to import before the panels are built, in pieces of similar length."""
EDITOR_SIZE = QSize(440, 800)
"""Size that the editor of the experiment asks for, in logical pixels."""
RUNS_SIZE = QSize(230, 800)
"""Size that the runs ask for, in logical pixels."""
WIDEST_RUNS = 320
"""Width of the runs in a large window, in logical pixels, until somebody chooses another."""


class _Region(QWidget):
    """Where a part of the window will be, with the size that the part asks for."""

    def __init__(self, size: QSize, minimum_width: int) -> None:
        super().__init__()
        self._size = size
        self.setMinimumWidth(minimum_width)

    def sizeHint(self) -> QSize:  # Qt's name
        return self._size


class WindowFrame(QMainWindow):
    """The main window before its panels are there.

    The regions of the workbench: the runs at the left, the board in the middle, the experiment at
    the right; above them the banner, below them the diagnosis, the timeline and the control bar.

    Attributes:
        places: the tabs; the first one is the workbench.
        tiles_menu, layouts_menu: empty until the board is built.
        runs_action: shows and hides the runs; disabled while there are none.
        banner: above the tabs, hidden.
        timeline: the steps of the run that is shown, and its pace.
        controls: the buttons and the progress of the run.
        board_area: scrolls the board where the window is too small for it.

    Signals: ``firstPainted()``: the window was painted for the first time.
    """

    firstPainted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        resize_to_screen(self, 1360, 860)
        self._painted = False
        self.banner = Banner()
        self.timeline = TimePanel()
        self.controls = ControlBar()
        self.board_area = QScrollArea()
        self.board_area.setAccessibleName("Plots of the run")
        self.board_area.setObjectName("experimentScroll")
        self.board_area.setFrameShape(QFrame.Shape.NoFrame)
        self.board_area.setWidgetResizable(True)
        opening = PlainLabel("Opening…")
        opening.setProperty("role", "muted")
        opening.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.board_area.setWidget(opening)
        self._runs: QWidget = _Region(RUNS_SIZE, 150)
        self.runs_action = QAction("&Runs panel", self)
        self.runs_action.setShortcut("Ctrl+Shift+R")
        self.runs_action.setCheckable(True)
        self.runs_action.setChecked(True)
        self.runs_action.setEnabled(False)
        self.runs_action.toggled.connect(self._show_runs)
        self.tiles_menu, self.layouts_menu = QMenu("&Tiles", self), QMenu("&Layout", self)
        self._split = QSplitter(Qt.Orientation.Horizontal)
        self._widths_are_chosen = False
        self.places = Places(self.menuBar())
        self._build_layout()
        self.installEventFilter(self)

    def _build_layout(self) -> None:
        self._editor_region: QWidget = _Region(EDITOR_SIZE, 180)
        middle = QWidget()
        around = QVBoxLayout(middle)
        around.setContentsMargins(0, 4, 0, 0)
        around.addWidget(self.board_area)
        # Both scroll; what their scroll bars ask for would not fit on a screen of 360 pixels.
        middle.setMinimumHeight(60)
        around.setSizeConstraint(QVBoxLayout.SizeConstraint.SetNoConstraint)
        self._split.setChildrenCollapsible(False)
        for part in (self._runs, middle, self._editor_region):
            self._split.addWidget(part)
        self._split.setStretchFactor(0, 0)
        self._split.setStretchFactor(1, 1)
        self._split.setStretchFactor(2, 0)
        self._share_width()
        self._split.splitterMoved.connect(self._keep_widths)
        workbench = QWidget()
        self._column = QVBoxLayout(workbench)
        self._column.setContentsMargins(8, 0, 8, 0)
        self._column.setSpacing(5)
        self._column.addWidget(self._split, 1)
        self._column.addWidget(self.timeline)
        self._column.addWidget(self.controls)
        self.places.set_workbench(workbench)
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.places, 1)
        self.setCentralWidget(whole)

    def _share_width(self) -> None:
        """Give runs, board and experiment their share of the width of the window."""
        # In a small window the board has half of the width; the editor needs 400 pixels.
        wide = self.width()
        runs = min(WIDEST_RUNS, round(0.17 * wide))
        editor = min(EDITOR_SIZE.width(), max(400, round(0.29 * wide)))
        self._split.setSizes([runs, wide - runs - editor, editor])

    def _keep_widths(self) -> None:
        """Leave the widths as the user or the last session has them."""
        self._widths_are_chosen = True

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Share a new width out, unless somebody chose the widths."""
        super().resizeEvent(event)
        if not self._widths_are_chosen:
            self._share_width()

    def place(self, editor: QWidget, board: QWidget, diagnosis: QWidget) -> None:
        """Put the panels into their regions.

        Args:
            editor: of the experiment, at the right. board: in the middle, which scrolls.
            diagnosis: above the timeline.
        """
        # On a screen of 360 pixels its strip and its search box leave nothing for the rest.
        self._editor_area = scrollable(editor)
        self._editor_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._editor_area.setMinimumWidth(editor.minimumSizeHint().width())
        self._split.replaceWidget(self._split.indexOf(self._editor_region), self._editor_area)
        self._editor_region.deleteLater()
        self.board_area.setWidget(board)
        self.place_diagnosis(diagnosis)

    def place_diagnosis(self, diagnosis: QWidget) -> None:
        """Put the diagnosis above the timeline."""
        self._column.insertWidget(self._column.indexOf(self.timeline), diagnosis)

    def split_sizes(self) -> list[int]:
        """Return the widths of runs, board and experiment in logical pixels."""
        return self._split.sizes()

    def set_split_sizes(self, sizes: Sequence[int]) -> None:
        """Set the widths of runs, board and experiment."""
        if len(sizes) == self._split.count():
            self._keep_widths()
            self._split.setSizes([int(size) for size in sizes])

    def place_runs(self, runs: QWidget) -> None:
        """Put the runs into the region at the left, and show it."""
        area = scrollable(runs)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setMinimumWidth(runs.minimumSizeHint().width())
        before, self._runs = self._runs, area
        self._split.replaceWidget(self._split.indexOf(before), area)
        before.deleteLater()
        self.runs_action.setEnabled(True)
        self.runs_action.setChecked(True)

    def _show_runs(self, shown: bool) -> None:
        self._runs.setVisible(shown)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Emit ``firstPainted`` with the first paint, which watches nothing after it."""
        if watched is self and event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            self.removeEventFilter(self)
            self.firstPainted.emit()
        return False
