"""Names and messages of others are shown as they are, and never as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyqtgraph as pg
from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtGui import QTextDocumentFragment
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QGraphicsTextItem,
    QLabel,
    QMessageBox,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow
from optlab.gui.landscape.landscape_window import LandscapeWindow
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.panels.test_part_dialog import TestPartDialog
from optlab.gui.plain_text import plain
from optlab.gui.plots.axis import PlotAxis
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.surfaces.surface_window import SurfaceWindow
from optlab.runners.train import train as train_now
from optlab.store import Store
from optlab.store.labels import Labels
from optlab.training import events

from .conftest import BASE, WAIT

TAG = "<b>zqx</b><img src='zqx.png'>"


def _shown(text: str, form: Qt.TextFormat = Qt.TextFormat.AutoText) -> str:
    """What a person reads of a text that Qt may take for HTML."""
    rich = form == Qt.TextFormat.RichText or (
        form == Qt.TextFormat.AutoText and GuiQt.mightBeRichText(text)
    )
    return QTextDocumentFragment.fromHtml(text).toPlainText() if rich else text


def _of_model(model: QAbstractItemModel) -> Iterator[str]:
    for row in range(min(model.rowCount(), 50)):
        for column in range(model.columnCount()):
            tip = model.index(row, column).data(Qt.ItemDataRole.ToolTipRole)
            if tip:
                yield _shown(tip)


def _texts(widget: QWidget) -> Iterator[tuple[str, str]]:
    """Each text of a widget that Qt may draw as HTML: as it was set, and as it is read."""
    yield widget.toolTip(), _shown(widget.toolTip())
    if isinstance(widget, QLabel):
        yield widget.text(), _shown(widget.text(), widget.textFormat())
    if isinstance(widget, QMessageBox):
        yield widget.text(), _shown(widget.text(), widget.textFormat())
    if isinstance(widget, QTextEdit):
        yield widget.toHtml(), widget.toPlainText()
    if isinstance(widget, pg.GraphicsView):
        for item in widget.scene().items():
            if isinstance(item, QGraphicsTextItem):
                yield item.toHtml(), item.toPlainText()
    if isinstance(widget, QComboBox | QAbstractItemView) and widget.model() is not None:
        yield from ((text, text) for text in _of_model(widget.model()))


def assert_plain(*, at_least: int) -> None:
    """In every widget that there is, a text with the mark is read with its tags.

    Args:
        at_least: texts that have to have the mark, so that a walk that finds nothing fails.
    """
    found = 0
    for widget in QApplication.allWidgets():
        for text, read in _texts(widget):
            if "zqx" in text or "zqx" in read:
                found += 1
                assert "<b>zqx</b>" in read, (type(widget).__name__, text)
    assert found >= at_least


def _table(folder: Path) -> Path:
    path = folder / "<b>zqx<" / "b><img src='zqx.png'>.csv"  # a slash is no part of a name
    path.parent.mkdir()
    rows = "\n".join(f"{n}.5,{n % 7},<b>zqx</b>{n % 3}" for n in range(200))
    path.write_text(f"{TAG.replace(',', '')},width,kind\n{rows}\n", encoding="utf-8")
    return path


def _run(table: Path) -> str:
    experiment = Experiment.from_dict(
        {
            **BASE,
            "title": TAG,
            "dataset": {"name": "csv_file", "path": str(table), "target": "kind"},
        }
    )
    with Store.open() as store:
        job = train_now([experiment], runner="thread", store=store)
        assert job.join(WAIT / 1000)
        return job.run_ids[0]


def test_that_every_label_of_the_windows_says_whether_it_is_html(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window()
    for kind in (SurfaceWindow, LandscapeWindow, DemonstrationWindow):
        qtbot.addWidget(kind(window._prewarmer))
    for dialog in (CatalogueDialog(window), GalleryDialog(window)):
        qtbot.addWidget(dialog)
    guessing = [
        label.text()
        for label in QApplication.allWidgets()
        if isinstance(label, QLabel)
        and label.textFormat() == Qt.TextFormat.AutoText
        # Forms and Qt's own dialogs make labels of fixed words.
        and not label.text().replace("&", "").replace(" ", "").isalpha()
    ]
    assert guessing == []


def test_that_names_of_others_are_shown_with_their_tags(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    table = _table(tmp_path)
    run = _run(table)
    window = open_window()

    window.show_stored(run)
    qtbot.waitUntil(lambda: "Showing" in window.controls.message.text(), timeout=WAIT)
    assert_plain(at_least=1)

    window.controls.say(TAG, problem=True)
    window.banner.show_sentence(TAG, problem=True)
    assert_plain(at_least=2)
    window.bridge._emit(events.SessionFailed(f"OSError: {TAG}"))
    assert_plain(at_least=2)

    plot = window.plots.plot(LossPlot)
    plot.add_curve("zqx", TAG, 0)
    plot.legend.entry("zqx")
    for axis in (plot.canvas.x_axis, plot.canvas.y_axis):
        assert isinstance(axis, PlotAxis)
        axis.set_label(TAG)
    assert_plain(at_least=3)

    dataset = {"name": "csv_file", "path": str(tmp_path / f"{TAG}.csv"), "target": TAG}
    window.experiment_panel.set_experiment(
        Experiment.from_dict({**BASE, "dataset": dataset}, check=False)
    )
    qtbot.waitUntil(lambda: not window.experiment_panel.pending, timeout=WAIT)
    assert "zqx" in window.experiment_panel.problem()
    assert_plain(at_least=3)

    runs = window.runs
    with Store.open() as store:
        store.label({run: Labels(name=TAG, note=TAG, tags=(TAG,))})
    runs.begin()
    qtbot.waitUntil(
        lambda: (row := runs.panel.model.row_of(run)) is not None and row.record.name == TAG,
        timeout=WAIT,
    )
    runs.panel.say(TAG, undo=True)
    runs.panel.show_problem(TAG)
    assert_plain(at_least=2)
    tip = runs.panel.model.data(
        runs.panel.model.index_of(f"run {run}"), Qt.ItemDataRole.ToolTipRole
    )
    assert plain(TAG)[4:-5] in tip and TAG not in tip

    importing = ImportDialog(window._prewarmer, window)
    qtbot.addWidget(importing)
    importing.show()
    importing.open_path(str(table))
    qtbot.waitUntil(importing.use_button.isEnabled, timeout=WAIT)
    assert_plain(at_least=1)
    importing.reject()

    part = TestPartDialog(window._prewarmer, run, window)
    qtbot.addWidget(part)
    part.show()
    qtbot.waitUntil(lambda: "zqx" in part.figures.text(), timeout=WAIT)
    assert_plain(at_least=2)
    part.reject()

    landscape = LandscapeWindow(window._prewarmer)
    qtbot.addWidget(landscape)
    landscape.show()
    qtbot.waitUntil(lambda: "zqx" in landscape.run.currentText(), timeout=WAIT)
    landscape._failed(TAG)
    assert_plain(at_least=2)
    landscape.close()
