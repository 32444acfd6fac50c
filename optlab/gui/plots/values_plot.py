"""The values of the curves of a plot as a table: in the clipboard, or in a CSV file."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QWidget

from optlab.gui.bridge import TaskBridge
from optlab.gui.manners import file_dialogs
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.subject import file_name, subject_of
from optlab.gui.plots.value_export import KeptValues, StoredReader, ValueSource, ValuesTask


class ValuesPlot(PlotFrame):
    """A plot whose values can be copied and exported.

    Signals: ``copied()``: the values are in the clipboard.
    """

    copied = Signal()

    def __init__(self, *, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._value_source: ValueSource | None = None
        self._writing: TaskBridge | None = None
        self.copy_action = QAction("Copy values", self)
        self.copy_action.triggered.connect(self.copy_values)
        self.csv_action = QAction("Export values as CSV…", self)
        self.csv_action.triggered.connect(self._choose_csv)
        self.menu.insertActions(self.image_action, [self.copy_action, self.csv_action])

    @abstractmethod
    def values_in_view(self) -> tuple[KeptValues, ...]:
        """Return what the plot keeps of its curves at the steps of the view."""

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
        path, _ = file_dialogs.save_file(self, "Export values", name, "CSV (*.csv)")
        if path:
            self.export_csv(path)
