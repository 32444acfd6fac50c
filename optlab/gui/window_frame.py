"""The frame of the main window: its menu bar, its tabs and the control bar, without their content.

This is what the first paint shows. It needs Qt and nothing else, so the window is there before
NumPy, the catalogue and the plots are imported. What comes later goes into places that have their
final size already, so nothing moves.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QMainWindow,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.geometry import resize_to_screen
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.time_panel import TimePanel
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


class _Place(QWidget):
    """Where a part of the window will be, with the size that the part asks for."""

    def __init__(self, size: QSize, minimum_width: int) -> None:
        super().__init__()
        self._size = size
        self.setMinimumWidth(minimum_width)

    def sizeHint(self) -> QSize:  # Qt's name
        return self._size


class WindowFrame(QMainWindow):
    """The main window before its panels are there.

    Attributes:
        banner: above the tabs, hidden.
        timeline: the steps of the run that is shown, and its pace.
        controls: the buttons and the progress of the run.
        views: the tabs.

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
        self.views = QTabWidget()
        self.views.setDocumentMode(True)
        self._plots_area = QScrollArea()
        self._plots_area.setObjectName("experimentScroll")
        self._plots_area.setFrameShape(QFrame.Shape.NoFrame)
        self._plots_area.setWidgetResizable(True)
        opening = PlainLabel("Opening…")
        opening.setProperty("role", "muted")
        opening.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._plots_area.setWidget(opening)
        self._instruments_place = QWidget()
        self.views.addTab(self._plots_area, "Run")
        self.views.addTab(self._instruments_place, "Instruments")
        self._split = QSplitter(Qt.Orientation.Horizontal)
        self._build_layout()
        self.installEventFilter(self)

    def _build_layout(self) -> None:
        right = QWidget()
        self._column = QVBoxLayout(right)
        self._column.setContentsMargins(8, 8, 8, 0)
        self._column.setSpacing(5)
        self._column.addWidget(self.banner)
        self._column.addWidget(self.views, 1)
        self._column.addWidget(self.timeline)
        self._column.addWidget(self.controls)
        self._editor_place: QWidget = _Place(EDITOR_SIZE, 180)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(self._editor_place)
        self._split.addWidget(right)
        self._split.setStretchFactor(1, 1)
        self._split.setSizes([430, 930])
        self.setCentralWidget(self._split)

    def place(
        self, editor: QWidget, plots: QWidget, instruments: QWidget, diagnosis: QWidget
    ) -> None:
        """Put the panels into their places.

        Args:
            editor: left of the tabs. plots: in the first tab, which scrolls. instruments: the second
                tab. diagnosis: between the tabs and the timeline.
        """
        self._split.replaceWidget(self._split.indexOf(self._editor_place), editor)
        self._editor_place.deleteLater()
        self._plots_area.setWidget(plots)
        shown = self.views.currentIndex()
        index = self.views.indexOf(self._instruments_place)
        self.views.insertTab(index, instruments, self.views.tabText(index))
        self.views.removeTab(index + 1)
        self.views.setCurrentIndex(shown)
        self._instruments_place.deleteLater()
        self._column.insertWidget(self._column.indexOf(self.timeline), diagnosis)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Emit ``firstPainted`` with the first paint, which watches nothing after it."""
        if watched is self and event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            self.removeEventFilter(self)
            self.firstPainted.emit()
        return False
