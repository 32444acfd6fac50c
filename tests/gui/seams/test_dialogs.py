"""What one part of the window asks of another: from the dialog's button to the stored run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from optlab.cli.app import main
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.experiment.presets import files
from optlab.experiment.sections import SECTIONS
from optlab.gui.main_window import DEFAULT_PRESET, MainWindow
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.panels.help_page import HelpPage
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.panels.register_dialog import RegisterDialog
from optlab.gui.plots.canvas import Canvas
from optlab.gui.plots.loss_plot import LossPlot
from optlab.studies.diagnosis.base import Remedy

from .conftest import (
    BASE,
    WAIT,
    assert_preview_is_trained,
    assert_refused,
    beside,
    in_dialog,
    in_runs,
    own_data,
    stored,
    train,
    wait_checked,
    write_table,
)

PRESETS = {path.stem: path for path in files()}


def use(dialog: ImportDialog) -> bool:
    """Press "Use in the experiment" once it can be pressed."""
    if dialog.use_button.isEnabled():
        dialog.use_button.click()
        return True
    return False


def pressed(button: str) -> Callable[[Any], bool]:
    def press(dialog: Any) -> bool:
        getattr(dialog, button).click()
        return True

    return press


def titles(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The names that ``optlab runs --json`` shows, the newest first."""
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    return [run["title"] for run in json.loads(capsys.readouterr().out)]


def pick(window: MainWindow, kind: str, name: str) -> None:
    picker = window.experiment_panel.components[kind].picker
    picker.setCurrentIndex(picker.findData(name))


def edit(qtbot: QtBot, window: MainWindow, path: str, text: str) -> None:
    """Type a field's value."""
    editor = window.experiment_panel._editors()[path].editor()
    assert isinstance(editor, QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, text)


# --- import ------------------------------------------------------------------------------------------------------------------------


def test_that_imported_data_are_previewed_and_trained(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()
    for what, path in own_data(tmp_path).items():
        window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
        in_dialog(ImportDialog, use)
        window.secondary_windows.import_data(str(path))
        wait_checked(qtbot, window)
        assert window.experiment_panel.problem() == "" and beside(window) == []
        run = train(qtbot, window)
        assert run.status == "finished" and run.title == f"{path.name} · MLP · SGD"
        assert str(path) in run.experiment
        assert Experiment.from_toml(run.experiment).loss.name == (
            "squared_error" if "regression" in what else "cross_entropy"
        )
        assert_preview_is_trained(qtbot, window, run)


def test_that_a_dropped_file_is_imported_or_opened(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()

    def drop(path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        entering = QDragEnterEvent(
            QPointF(9, 9).toPoint(), Qt.DropAction.CopyAction, data, buttons, keys
        )
        QApplication.sendEvent(window, entering)
        assert entering.isAccepted()
        dropped = QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, buttons, keys)
        QApplication.sendEvent(window, dropped)

    in_dialog(ImportDialog, use)
    drop(write_table(tmp_path / "prices.csv", "regression"))
    qtbot.waitUntil(lambda: window.experiment_panel.chosen("dataset") == "csv_file", timeout=60_000)
    assert train(qtbot, window).title == "prices.csv · MLP · SGD"
    saved = tmp_path / "experiment.toml"
    window.files.write(saved)
    window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
    drop(saved)
    qtbot.waitUntil(lambda: window.experiment_panel.chosen("dataset") == "csv_file", timeout=60_000)
    assert train(qtbot, window).title == "prices.csv · MLP · SGD"


def test_that_a_file_is_dropped_on_every_plot_and_panel_as_on_the_window(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()
    train(qtbot, window)
    opened: list[Path] = []
    window.dropped._open_experiment = opened.append
    path = tmp_path / "experiment.toml"
    path.write_text("")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    drag = (data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    views = [one.viewport() for one in window.plots.findChildren(Canvas) if one.isVisible()]
    others = [window.timeline, window.runs.panel.tree.viewport(), window.experiment_panel]
    assert len(views) >= 4
    for widget in (*views, *others):
        # A view that takes every drag would swallow the file, and nothing would come of it.
        entering = QDragEnterEvent(QPoint(20, 20), Qt.DropAction.CopyAction, *drag)
        entering.ignore()
        QApplication.sendEvent(widget, entering)
        assert entering.isAccepted(), widget
        dropped = QDropEvent(QPointF(20, 20), Qt.DropAction.CopyAction, *drag)
        QApplication.sendEvent(widget, dropped)
    qtbot.waitUntil(lambda: len(opened) == len(views) + len(others), timeout=5_000)
    assert set(opened) == {path}


# --- catalogue, gallery, models, runs ------------------------------------------------------------------------------------------------


def test_that_an_entry_of_every_kind_goes_from_the_catalogue_into_a_run(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(shown=False)
    base = window.experiment_panel.experiment()
    window.secondary_windows.show_catalogue()
    catalogue = window.findChild(CatalogueDialog)
    assert catalogue is not None
    for kind in SECTIONS:
        window.experiment_panel.set_experiment(base)
        name = registry.names(kind)[-1]
        catalogue.show_entry(kind, name)
        catalogue.use_button.click()
        assert window.experiment_panel.chosen(kind) == name and uncaught == []
        if window.controls.start_button.isEnabled():
            assert getattr(Experiment.from_toml(train(qtbot, window).experiment), kind).name == name
        else:
            assert_refused(window, uncaught)
    catalogue.close()


def test_that_pages_open_where_they_are_asked_for(open_window: Callable[..., MainWindow]) -> None:
    window = open_window(shown=False)
    for form in window.experiment_panel.components.values():
        form.page_button.click()
    for card in window.instruments.cards.values():
        card.page_button.click()
    pages = window.findChildren(HelpPage)
    assert len(pages) == len(SECTIONS) + len(window.instruments.cards)
    for page in pages:
        page.close()


def test_that_the_gallery_opens_what_is_then_trained_under_its_title(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False)

    def choose(gallery: GalleryDialog) -> bool:
        gallery.choose("iris-softmax")
        gallery.open_button.click()
        return True

    in_dialog(GalleryDialog, choose)
    window.secondary_windows.show_gallery()
    edit(qtbot, window, "budget.steps", "2")
    assert train(qtbot, window).title == "Iris · softmax regression · full batch"


def test_that_a_preset_that_cannot_be_opened_starts_nothing(
    open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(shown=False)
    bad = tmp_path / "bad.toml"
    bad.write_text("seed = -1", encoding="utf-8")
    window.secondary_windows.presetPicked.emit(bad, True)
    assert not window.bridge.active and stored() == []
    assert "seed is -1" in window.banner.message.text()


NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs{arguments}):
        super().__init__()
        self.first = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.first(x)
"""


def test_that_a_registered_model_is_picked_and_trained_and_its_new_arguments_are_shown(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()
    file = tmp_path / "net.py"
    for arguments in ("", ", width=8"):
        file.write_text(NET.format(arguments=arguments), encoding="utf-8")

        def confirm(dialog: RegisterDialog) -> bool:
            if dialog.path.text() != str(file):
                dialog.open_path(str(file))
            if not dialog.confirm_button.isEnabled():
                return False
            dialog.confirm_button.click()
            return True

        in_dialog(RegisterDialog, confirm)
        window.secondary_windows.register_model()
        assert window.experiment_panel.chosen("model") == "own.net"
        assert ("width" in window.experiment_panel.components["model"].form.editors) == bool(
            arguments
        )
        run = train(qtbot, window)
        assert run.status == "finished" and run.title == "Iris · own.net · SGD"


RULE = """
import torch

class Slow(torch.optim.Optimizer):
    def __init__(self, params, lr=0.05, pull=0.0):
        super().__init__(params, dict(lr=lr, pull=pull))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * (p.grad + group["pull"] * p))
"""


def test_that_a_registered_optimizer_is_picked_and_trained(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()
    file = tmp_path / "rule.py"
    file.write_text(RULE, encoding="utf-8")

    def confirm(dialog: RegisterDialog) -> bool:
        if dialog.path.text() != str(file):
            assert "an optimizer" in dialog.windowTitle()
            dialog.open_path(str(file))
        if not dialog.confirm_button.isEnabled():
            return False
        dialog.confirm_button.click()
        return True

    in_dialog(RegisterDialog, confirm)
    window.secondary_windows.register_optimizer()
    assert window.experiment_panel.chosen("optimizer") == "own.slow"
    assert {"lr", "pull"} <= set(window.experiment_panel.components["optimizer"].form.editors)
    run = train(qtbot, window)
    assert run.status == "finished" and run.title == "Iris · MLP · own.slow"


def test_that_a_model_registered_elsewhere_can_be_used_from_the_catalogue(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(shown=False)
    (tmp_path / "net.py").write_text(NET.format(arguments=""), encoding="utf-8")
    assert main(["model", "register", str(tmp_path / "net.py"), "--yes"]) == 0
    window.secondary_windows.show_catalogue()
    catalogue = window.findChild(CatalogueDialog)
    assert catalogue is not None
    catalogue.show_entry("model", "own.net")
    catalogue.use_button.click()
    assert window.experiment_panel.components["model"].picker.currentData() == "own.net"
    assert train(qtbot, window).title == "Iris · own.net · SGD"
    catalogue.close()


def test_that_stored_runs_are_shown_and_opened_again_under_the_same_name(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(shown=False)
    path = write_table(tmp_path / "flowers.csv", "classes")
    window.secondary_windows.dataPicked.emit({"name": "csv_file", "path": str(path)})
    first = train(qtbot, window)
    window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
    in_runs(window, "open_experiment")
    wait_checked(qtbot, window)
    assert window.experiment_panel.experiment() == Experiment.from_toml(first.experiment)
    again = train(qtbot, window)
    assert (
        again.title == first.title == "flowers.csv · MLP · SGD"
        and again.theta_sha256 == first.theta_sha256
    )
    in_runs(window, "open_curves")
    qtbot.waitUntil(lambda: "Showing" in window.controls.message.text(), timeout=WAIT)
    assert "flowers.csv · MLP · SGD" in window.controls.message.text()


def test_that_a_stored_run_whose_file_is_gone_can_still_be_shown_and_says_what_is_missing(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(shown=False)
    path = write_table(tmp_path / "flowers.csv", "classes")
    window.secondary_windows.dataPicked.emit({"name": "csv_file", "path": str(path)})
    train(qtbot, window)
    window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
    path.unlink()
    in_runs(window, "open_curves")
    qtbot.waitUntil(lambda: "Showing" in window.controls.message.text(), timeout=WAIT)
    loss = window.plots.plot(LossPlot)
    assert loss.curve("batch_loss:0").samples.last == 2
    assert window.experiment_panel.chosen("dataset") == "iris"
    in_runs(window, "open_experiment")
    wait_checked(qtbot, window)
    assert window.experiment_panel.chosen("dataset") == "csv_file"
    assert len(beside(window)) == 1 and "cannot be read" in beside(window)[0]
    assert not window.controls.start_button.isEnabled()


# --- remedies and instruments ----------------------------------------------------------------------------------------------------------


def test_that_the_changes_of_a_remedy_are_made_together(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False, clipping={"name": "norm"}, optimizer={"name": "momentum"})
    window.diagnosis_panel.remedyChosen.emit(
        Remedy(
            "Use Newton's method", {"optimizer.name": "newton", "clipping.name": "none"}, live=False
        )
    )
    run = train(qtbot, window)
    assert (
        Experiment.from_toml(run.experiment).optimizer.name == "newton"
        and run.title == "Iris · MLP · Newton's method"
    )
    window.diagnosis_panel.remedyChosen.emit(Remedy("Clip", {"clipping.name": "norm"}, live=False))
    assert "evaluates the objective directly" in window.controls.message.text()
    assert window.experiment_panel.chosen("clipping") == "none", (
        "a remedy that cannot be had changes nothing"
    )


def test_that_every_instrument_is_switched_on_in_a_run_or_says_why_not(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window(shown=False)
    cards = window.instruments.cards
    assert set(cards) == set(registry.names("instrument"))
    for card in cards.values():
        card.box.click()
        assert uncaught == []
        assert card.on or card.problem.text().endswith(".")
    on = {name for name, card in cards.items() if card.on}
    run = train(qtbot, window)
    assert {
        instrument.name for instrument in Experiment.from_toml(run.experiment).instruments
    } == on
    assert len(on) >= 5 and run.status == "finished"


# --- names -----------------------------------------------------------------------------------------------------------------------------


def test_that_runs_are_named_after_what_was_trained(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    window = open_window(shown=False)
    window.files.load(PRESETS[DEFAULT_PRESET])
    edit(qtbot, window, "budget.steps", "2")
    title = window.experiment_panel.general.editors["title"]

    def trained() -> str:
        run = train(qtbot, window)
        assert titles(capsys)[0] == run.title
        assert title.value() in (run.title, "") and title.editor().placeholderText() == run.title
        return run.title

    assert trained() == "Digits · MLP · momentum"
    pick(window, "optimizer", "adam")
    assert trained() == "Digits · MLP · Adam"
    pick(window, "optimizer", "momentum")
    assert trained() == "Digits · MLP · momentum", "the edit was taken back"
    pick(window, "dataset", "moons")
    assert trained() == "Moons · MLP · momentum"
    window.secondary_windows.dataPicked.emit(
        {"name": "csv_file", "path": str(write_table(tmp_path / "prices.csv", "regression"))}
    )
    assert trained() == "prices.csv · MLP · momentum"
    edit(qtbot, window, "title", "Prices, first try")
    assert trained() == "Prices, first try"
    edit(qtbot, window, "optimizer.lr", "0.001")
    assert trained() == "Prices, first try", "it still applies"
    pick(window, "optimizer", "adam")
    assert trained() == "prices.csv · MLP · Adam"
    other = write_table(tmp_path / "other.csv", "regression")
    pick(window, "optimizer", "momentum")
    edit(qtbot, window, "dataset.path", str(other))
    assert trained() == "other.csv · MLP · momentum"


def test_that_a_preset_that_speaks_of_a_field_loses_its_title_with_that_field(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False)
    window.files.load(PRESETS["diverges"])
    edit(qtbot, window, "budget.steps", "2")
    assert train(qtbot, window).title == "Diabetes · a rate too high"
    # As a run does when its rate is changed on the way.
    window.experiment_panel.set_live_value("optimizer.lr", 0.001)
    assert train(qtbot, window).title.startswith("Diabetes · ")


def test_that_a_title_that_was_typed_outlives_a_remedy(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False)
    edit(qtbot, window, "title", "Mine")
    window.diagnosis_panel.remedyChosen.emit(Remedy("Clip", {"clipping.name": "norm"}, live=False))
    run = train(qtbot, window)
    assert run.title == "Mine" and Experiment.from_toml(run.experiment).clipping.name == "norm"
