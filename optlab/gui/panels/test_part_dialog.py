"""The dialog that evaluates a stored run on its test part."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen
from optlab.gui.plain_text import PlainLabel
from optlab.gui.questions import ask_about_changed_data
from optlab.tasks.run_figures import figure
from optlab.tasks.test_part import TestPartResult, TestPartTask

_LABELS = {
    "test_loss": "Test loss",
    "test_error": "Test error",
    "test_minus_train": "Against training",
    "test_minus_validation": "Against validation",
    "test_r2": "R²",
    "test_mean_absolute_error": "Mean absolute error",
}


class TestPartDialog(QDialog):
    """Shows the performance of a run on the test part: figures, and the confusion matrix.

    Args:
        prewarmer: its pool executes the evaluation.
        run_id: of the run.
        parent: window above which the dialog opens.
    """

    __test__ = False  # no test class for pytest

    def __init__(
        self, prewarmer: WorkerPrewarmer, run_id: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Test part")
        resize_to_screen(self, 640, 480)
        self.figures = PlainLabel("Evaluating…")
        self.figures.setWordWrap(True)
        self.figures.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.heading = PlainLabel("Confusion matrix: true class by row, predicted class by column")
        self.table = QTableWidget(0, 0)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("Confusion matrix")
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.figures)
        layout.addWidget(self.heading)
        layout.addWidget(self.table, 1)
        layout.addStretch(0)
        layout.addWidget(closing)
        self.heading.hide()
        self.table.hide()
        self.tasks = TaskBridge(prewarmer.pool, self)
        self.tasks.answered.connect(self.show_result)
        self.tasks.failed.connect(self.figures.setText)
        ask_about_changed_data(self.tasks, self, lambda: self.figures.setText("Evaluating…"))
        self.finished.connect(lambda _result: self.tasks.shut_down())
        self.tasks.ask(TestPartTask(run_id))

    def show_result(self, result: TestPartResult) -> None:
        """Show the figures, and the confusion matrix of a classifier."""
        of_errors = "test_error" in result.values
        lines = [
            f"{label}: " + f"{value:+.2%}".replace("-", "−")
            if of_errors and name.startswith("test_minus")
            else f"{label}: {figure(name, value)}"
            for name, label in _LABELS.items()
            if (value := result.values.get(name)) is not None
        ]
        self.figures.setText(
            f"{result.title}, step {result.step:,}, {result.examples:,} examples that were not "
            "used for training or for any choice\n" + "\n".join(lines)
        )
        self.heading.setVisible(bool(result.confusion))
        self.table.setVisible(bool(result.confusion))
        self.table.setRowCount(len(result.classes))
        self.table.setColumnCount(len(result.classes))
        self.table.setVerticalHeaderLabels(list(result.classes))
        self.table.setHorizontalHeaderLabels(list(result.classes))
        for row, counts in enumerate(result.confusion):
            for column, count in enumerate(counts):
                item = QTableWidgetItem(f"{count:,}" if count else "")
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                font = item.font()
                font.setBold(row == column)
                item.setFont(font)
                self.table.setItem(row, column, item)
        self.table.resizeColumnsToContents()
