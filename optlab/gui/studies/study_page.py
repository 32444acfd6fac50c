"""What there is to read of a study or a claim: protocol, arms, runs, and the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QTextBrowser,
    QWidget,
)

from optlab.core.printable import printable
from optlab.tasks.studies import StudyPage
from optlab.tasks.study_news import RunOfStudy

_RUN_COLUMNS = ("Run", "Arm", "Seed", "Role", "State", "Steps", "Setting")


class ProtocolView(QTextBrowser):
    """Shows the protocol: what is decided, how, and in what the arms differ."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Protocol")
        self.setOpenLinks(False)
        self.document().setDocumentMargin(12)

    def show_page(self, page: StudyPage) -> None:
        """Show the page of a study or a claim."""
        parts = [
            f"<p>{_text(text)}</p>"
            if not heading
            else f"<p><b>{_text(heading)}.</b> {_text(text)}</p>"
            for heading, text in page.parts
        ]
        if page.differs:
            head = "".join(f"<th align='left'>{_text(name)}</th>" for name in page.arms)
            rows = "".join(
                "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>"
                for row in page.differs
            )
            parts.append(
                "<p><b>What differs between the arms</b></p><table cellpadding='4'>"
                f"<tr><th align='left'>Field</th>{head}</tr>{rows}</table>"
            )
        self.setHtml("".join(parts))


class RunsTable(QTableWidget):
    """Lists the runs of a study.

    Signals: ``runPicked(str)``: id of a run that was double-clicked.
    """

    runPicked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_RUN_COLUMNS), parent)
        self.setAccessibleName("Runs of the study")
        self.setHorizontalHeaderLabels(list(_RUN_COLUMNS))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setToolTip("Double-click draws the curves of a run in the main window")
        self.verticalHeader().hide()
        self.setShowGrid(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(100)
        header.setStretchLastSection(True)
        self._shown: tuple[RunOfStudy, ...] = ()
        self.cellDoubleClicked.connect(lambda row, _column: self.runPicked.emit(self.run(row)))

    def show_runs(self, runs: Sequence[RunOfStudy]) -> None:
        """Show these runs; nothing is redrawn where they are the same."""
        if tuple(runs) == self._shown:
            return
        self._shown = tuple(runs)
        self.setRowCount(len(runs))
        for row, one in enumerate(runs):
            setting = ", ".join(f"{path} {value}" for path, value in one.setting.items())
            texts = (
                one.run,
                one.arm,
                str(one.seed + 1),
                one.role,
                one.status,
                f"{one.steps:,}",
                setting,
            )
            for column, text in enumerate(texts):
                self.setItem(row, column, QTableWidgetItem(printable(text)))

    def run(self, row: int) -> str:
        """Return the id of the run of a row."""
        return self._shown[row].run

    def selected(self) -> list[str]:
        """Return the ids of the runs that are selected, from top to bottom."""
        return [self.run(index.row()) for index in self.selectionModel().selectedRows()]


class FileView(QPlainTextEdit):
    """Shows a study as a file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Study as a file")
        self.setReadOnly(True)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)


def _text(text: str) -> str:
    return escape(printable(text, lines=True)).replace("\n", "<br>")
