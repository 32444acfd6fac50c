"""An afternoon of work, and a table with words in it: whole ways through the real window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.cli.app import main as command
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.figures.figure_dialog import FigureDialog
from optlab.gui.main_window import MainWindow
from optlab.gui.manners import file_dialogs
from optlab.gui.manners.doors import Doors
from optlab.gui.manners.session import Session
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.region_plot import RegionPlot
from optlab.gui.plots.tiles import tile_key
from optlab.gui.studies.studies_window import StudiesWindow
from optlab.store import RunRecord, Store
from optlab.training.control import SetValue

WAIT = 60_000
Open = Callable[[], MainWindow]

pytestmark = pytest.mark.qt_log_ignore("does not support raise", extend=True)


@pytest.fixture
def open_window(
    qtbot: QtBot, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Open the window as the program does, on the session of the data folder."""
    monkeypatch.setattr(file_dialogs.MEMORY, "folder", "")
    windows: list[MainWindow] = []

    def build() -> MainWindow:
        window = MainWindow(None, "thread", session=Session(stored=True))
        windows.append(window)
        qtbot.addWidget(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield build
    for window in windows:
        window.close_without_asking()
    theme.choose("system")


def newest() -> RunRecord:
    with Store.open_readonly() as store:
        return store.runs()[0]


def type_over(window: MainWindow, path: str, text: str) -> None:
    """Type a value into the field of a path, and confirm it."""
    section, _, name = path.partition(".")
    field = window.experiment_panel.components[section].form.editors[name].editor()
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def discard_edits(window: MainWindow) -> None:
    """Answer the question what to do with the edits, once it is asked."""
    timer = QTimer(window)

    def answer() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            timer.stop()
            box.button(QMessageBox.StandardButton.Discard).click()

    timer.timeout.connect(answer)
    timer.start(30)


def test_an_afternoon_of_work(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window()

    # A first start shows three doors; the user looks around and opens a preset.
    qtbot.waitUntil(lambda: window.findChild(Doors) is not None, timeout=WAIT)
    doors = window.findChild(Doors)
    assert doors is not None
    doors.reject()
    preset = next(path for path in _presets() if path.stem == "iris-softmax")
    assert window.files.load(preset)
    window.experiment_panel.change({"budget.steps": 150, "optimizer.lr": 0.05})
    theme.choose("dark")

    # Train slowly, and change the rate on the way.
    window.timeline.pace.setCurrentIndex(window.timeline.pace.findData(100.0))
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: window.timeline.step >= 20, timeout=WAIT)
    type_over(window, "optimizer.lr", "0.2")
    qtbot.waitUntil(lambda: bool(window.timeline.track.changes), timeout=WAIT)
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    parent = newest()
    assert (parent.status, parent.steps) == ("finished", 150)
    with Store.open_readonly() as store:
        changes = [message for _, message in store.controls(parent.id)]
    assert [one for one in changes if isinstance(one, SetValue)] == [SetValue("optimizer.lr", 0.2)]

    # Rewind, and fork with Adam.
    window.timeline.pace.setCurrentIndex(0)
    window.timeline.look_at(60)
    assert window.plots.plot(LossPlot).marks.cursor == 60
    discard_edits(window)
    window.timeline.fork_button.click()
    qtbot.waitUntil(lambda: window.controls.start_button.text() == "Start fork", timeout=WAIT)
    window.experiment_panel.pick("optimizer", "adam")
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: newest().id != parent.id, timeout=WAIT)
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    fork = newest()
    assert (fork.parent, fork.at, fork.steps) == (parent.id, 60, 150)

    # Three seeds of it against a contender, to a verdict, which the command line repeats.
    window.experiment_panel.change({"budget.steps": 40})
    window.controls.contender_button.click()
    editor = window.contenders.editor
    assert editor is not None
    first, second = editor.arms.rows
    for row, name, rate in ((first, "fast", 0.1), (second, "slow", 0.0001)):
        row.name.setText(name)
        row.changes.setText(f"optimizer.lr = {rate}")
    editor.seeds.set_values({"count": 3})
    editor.measure.of.setCurrentText("train_loss")
    editor.decide.relation.setCurrentIndex(editor.decide.relation.findData("<"))
    second.changes.textEdited.emit("")
    editor.decide.arm.setCurrentIndex(0)
    editor.decide.against.setCurrentIndex(1)
    qtbot.waitUntil(lambda: editor.checked is not None, timeout=WAIT)
    editor.run_button.click()
    window.secondary_windows.show_studies()
    place = window.places.place("studies")
    assert isinstance(place, StudiesWindow)
    qtbot.waitUntil(lambda: place.message.text() == "Finished.", timeout=WAIT)
    qtbot.waitUntil(lambda: "supported" in place.view.verdict.text(), timeout=WAIT)
    assert place.page is not None
    study = Path(place.page.key)
    assert command(["study", str(study), "--runner", "thread", "--json"]) == 0

    # A figure and the study leave the house.
    place.export("html", tmp_path / "study.html")
    qtbot.waitUntil(lambda: not place.writing.active, timeout=WAIT)
    assert "fast" in (tmp_path / "study.html").read_text(encoding="utf-8")
    window.places.show_place("workbench")
    dialog = FigureDialog(window.plots.plot(LossPlot), "Loss", window)
    qtbot.addWidget(dialog)
    assert dialog.save(tmp_path / "loss.svg"), dialog.problem.text()
    drawing = (tmp_path / "loss.svg").read_text(encoding="utf-8")
    assert drawing.lstrip().startswith("<?xml") and drawing.count("<path") > 5

    # Closed and opened again, everything is where it was.
    tables, file = window.experiment_panel.tables(), window.files.file
    window.close_without_asking()
    again = open_window()
    assert theme.choice() == "dark"
    assert again.experiment_panel.tables() == tables and again.experiment_panel.edited
    assert again.files.file == file
    assert again.findChild(Doors) is None, "the doors are for the first start"
    again.runs.begin()
    qtbot.waitUntil(lambda: again.runs.panel.model.row_of(fork.id) is not None, timeout=WAIT)
    again.show_stored(fork.id)
    qtbot.waitUntil(lambda: again.time.run_id == fork.id, timeout=WAIT)
    assert again.timeline.track.minimum() == 60 and again.timeline.step == 150


def _presets() -> list[Path]:
    from optlab.experiment.presets import files

    return files()


def drop(window: MainWindow, path: Path) -> None:
    """Drag a file from outside onto the window and let it go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    action, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none, at = Qt.KeyboardModifier.NoModifier, QPointF(60, 60)
    enter = QDragEnterEvent(at.toPoint(), action, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(at, action, data, left, none))


def test_that_a_table_with_words_comes_from_a_drop_to_a_decision_region(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    random = np.random.default_rng(5)
    lines = ["length,weight,kind"]
    for kind, low in (("cat", 0.0), ("dog", 3.0)):
        for _ in range(40):
            lines.append(f"{low + random.normal():.3f},{low - random.normal():.3f},{kind}")
    table = tmp_path / "animals.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    window = open_window()
    qtbot.waitUntil(lambda: window.findChild(Doors) is not None, timeout=WAIT)
    doors = window.findChild(Doors)
    assert doors is not None
    doors.reject()

    used: list[str] = []

    def use() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, ImportDialog) and dialog.use_button.isEnabled():
            used.append(dialog.windowTitle())
            dialog.use_button.click()

    timer = QTimer(window)
    timer.timeout.connect(use)
    timer.start(50)
    drop(window, table)
    qtbot.waitUntil(lambda: bool(used), timeout=WAIT)
    timer.stop()
    qtbot.waitUntil(lambda: not window.experiment_panel.pending, timeout=WAIT)
    window.experiment_panel.change({"budget.steps": 120})
    qtbot.waitUntil(lambda: not window.experiment_panel.pending, timeout=WAIT)
    experiment = window.experiment_panel.experiment(check=False)
    assert "animals.csv" in experiment.to_toml()
    window.plots.board.open(tile_key(RegionPlot))
    region = window.plots.plot(RegionPlot)
    window.controls.start_button.click()
    # The run may end between two looks at the window.
    qtbot.waitUntil(lambda: len(window.shown_run.run_ids) == 1, timeout=WAIT)
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    run = newest()
    assert (run.status, run.steps) == ("finished", 120)
    assert Experiment.from_toml(run.experiment, check=False).dataset.reads_outside()
    qtbot.waitUntil(lambda: region.result is not None, timeout=WAIT)
    drawn = region.result
    # The kinds are called by their words, and each side of the plane has its own.
    assert {"cat", "dog"} <= set(drawn.classes)
    assert len(np.unique(drawn.predicted)) == 2
