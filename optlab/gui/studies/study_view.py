"""What is seen of one study: its question, its verdict, and tabs with result, protocol, runs, file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSplitter,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab.core.printable import printable
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel, wrapped_label
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.subject import set_subject
from optlab.gui.studies.arms_plot import ArmsPlot
from optlab.gui.studies.forest_plot import NO_RESULT, ForestPlot
from optlab.gui.studies.leader_board import LeaderBoardModel
from optlab.gui.studies.study_page import FileView, ProtocolView, RunsTable
from optlab.studies.claims.conducting import of_control
from optlab.studies.comparison.words import needed_words
from optlab.tasks.studies import StudyPage
from optlab.tasks.study_news import StudyNews, found_arms

_FOUND = "Found before the release. {} repeats it here, with its curves."
_NO_CURVES = "No curves: the arms are computed without training, or their runs are not stored."
_CURVES_SOON = "Curves appear here as soon as the first values are stored…"
_NOTHING_PICKED = "The result of the study or claim that you pick is shown here."
_NOT_YET = "Not run yet: Run trains its arms, and curves, leader board and verdict appear here."


class StudyView(QWidget):
    """Shows one study or claim."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = PlainLabel("Pick a study or a claim in the list.")
        self.title.setObjectName("tileTitle")
        self.title.setWordWrap(True)
        self.sentence = wrapped_label("muted")
        self.verdict = PlainLabel("")
        self.verdict.setWordWrap(True)
        self.verdict.setAccessibleName("Verdict")
        self.curves, self.forest = ArmsPlot(), ForestPlot()
        self.board = LeaderBoardModel()
        self.board_table = QTableView()
        self.protocol, self.runs, self.file = ProtocolView(), RunsTable(), FileView()
        self.tabs = QTabWidget()
        self.news: StudyNews | None = None
        self.curves.empty_text = self.forest.empty_text = _NOTHING_PICKED
        self._build()

    def _build(self) -> None:
        table = self.board_table
        table.setModel(self.board)
        table.setAccessibleName("Leader board")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        above = QSplitter(Qt.Orientation.Horizontal)
        above.setChildrenCollapsible(False)
        above.addWidget(Tile("Arms: mean and interval over the seeds", self.curves))
        above.addWidget(Tile("Effect against the margin", self.forest))
        above.setSizes([560, 440])
        result = QSplitter(Qt.Orientation.Vertical)
        result.setChildrenCollapsible(False)
        result.addWidget(above)
        result.addWidget(Tile("Leader board", table))
        result.setSizes([420, 200])
        self.tabs.setDocumentMode(True)
        for title, widget in (
            ("Result", result),
            ("Protocol", self.protocol),
            ("Runs", self.runs),
            ("File", self.file),
        ):
            self.tabs.addTab(widget, title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for label in (self.title, self.sentence, self.verdict):
            layout.addWidget(label)
        layout.addWidget(self.tabs, 1)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.curves.set_colors(colors)
        self.forest.set_colors(colors)
        self.board.set_colors(colors)

    def show_page(self, page: StudyPage) -> None:
        """Show what there is to read of a study, and nothing of a result yet."""
        prefix = f"{page.key}. " if page.kind == "claim" else ""
        self.title.setText(printable(prefix + page.title))
        self.sentence.setText(printable(page.sentence))
        self.protocol.show_page(page)
        self.file.setPlainText(page.document)
        set_subject(self, page.title)
        self.clear_result()
        if page.found is not None:
            button = "Conduct" if page.kind == "claim" else "Run"
            self.curves.empty_text = _FOUND.format(button)
            self.board.show_arms(found_arms(page.found), page.better)
            self._show_result(page.found, page.effect, page.margin)

    def clear_result(self) -> None:
        """Show that there is no result."""
        self.news = None
        self.curves.empty_text = self.forest.empty_text = _NOT_YET
        self.curves.remove_all()
        self.curves.set_bands({})
        self.board.show_arms((), "lower")
        self.runs.show_runs(())
        self.forest.show_comparisons((), "difference", 0.0, "")
        self.verdict.setText("")

    def show_news(self, news: StudyNews) -> None:
        """Show how a stored study stands."""
        self.news = news
        self.curves.empty_text = _CURVES_SOON if news.record.going else _NO_CURVES
        self.forest.empty_text = NO_RESULT
        self.curves.set_series(news.series)
        self.curves.set_bands(
            {arm.name: (number, arm.band) for number, arm in enumerate(news.arms)}
        )
        self.board.show_arms(news.arms, news.better)
        self.runs.show_runs(news.runs)
        if news.record.result:
            self._show_result(news.record.result, news.effect, news.margin)
            return
        self.forest.show_comparisons((), news.effect, news.margin, news.unit)
        done = sum(arm.done for arm in news.arms)
        total = sum(arm.total for arm in news.arms)
        reason = f" ({news.record.reason})" if news.record.reason else ""
        self.verdict.setText(
            printable(
                f"{of_control(news.record.name)}"
                f"{news.record.status.capitalize()}{reason}: {done:,} of {total:,} runs that "
                "decide are complete."
            )
        )

    def _show_result(self, result: Mapping[str, Any], effect: str, margin: float) -> None:
        comparisons: Sequence[Mapping[str, Any]] = result["comparisons"]
        self.forest.show_comparisons(comparisons, effect, margin, str(result.get("measure", "")))
        name = self.news.record.name if self.news is not None else ""
        self.verdict.setText(printable(of_control(name) + verdict_words(result)))


def verdict_words(result: Mapping[str, Any]) -> str:
    """Return the verdict of a result as a sentence, with the seeds that would decide.

    Args:
        result: as ``study --json`` or ``claim --json`` has it.
    """
    stated = result.get("decides") or result.get("statement") or ""
    needed = [one for one in result["comparisons"] if one["verdict"] == "undecided"]
    more = next((words for words in map(needed_words, needed) if words), "")
    control = result.get("control")
    tail = f"; negative control: {control}" if control else ""
    return f"{stated}: {result['verdict']} here{f' ({more})' if more else ''}{tail}."
