"""Every entry of every picker, through the window to a stored run or a reported reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.experiment.sections import SECTIONS
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.outside.datafiles import public_sets
from optlab.training import events

from .conftest import (
    BASE,
    WAIT,
    assert_preview_is_trained,
    assert_refused,
    beside,
    own_data,
    stored,
    train,
    wait_checked,
)

FILE_FIELDS = ("path", "images", "set")
"""Fields without which a data set of the user's own cannot be read."""


def entries(picker: QComboBox) -> list[str]:
    names = [picker.itemData(row, Qt.ItemDataRole.UserRole) for row in range(picker.count())]
    return [name for name in names if name is not None]


def test_that_there_is_a_picker_for_every_kind_that_fills_a_section(qtbot: QtBot) -> None:
    panel = ExperimentPanel()
    qtbot.addWidget(panel)
    assert (
        set(panel.components)
        == set(SECTIONS)
        == set(registry.kinds()) - {"measure", "instrument", "surface", "demonstration", "probe"}
    )
    assert all(
        entries(form.picker) == registry.names(kind) for kind, form in panel.components.items()
    )


@pytest.mark.parametrize("kind", SECTIONS)
def test_that_every_entry_is_trained_and_stored_or_refused_with_a_reason(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str], kind: str
) -> None:
    window = open_window(shown=False)
    panel, base = window.experiment_panel, window.experiment_panel.experiment()
    failures: list[events.SessionFailed] = []
    window.bridge.on(events.SessionFailed, failures.append)
    started = 0
    for name in entries(panel.components[kind].picker):
        window.experiment_panel.set_experiment(base)
        picker = panel.components[kind].picker
        picker.setCurrentIndex(picker.findData(name))
        assert uncaught == [], name
        assert panel.chosen(kind) == name
        if window.controls.start_button.isEnabled():
            run = train(qtbot, window)
            trained = Experiment.from_toml(run.experiment)
            assert getattr(trained, kind).name == name
            described = trained.with_values({"title": ""}, check=False).title()
            assert run.title == ("The base" if trained == base else described)
            if run.status == "failed":
                # Only the loaded data show this: one sentence that names a field, not a defect.
                failed = failures.pop()
                assert failed.detail == "" and failed.message.endswith("."), (name, failed)
                assert f"{kind}.name" in failed.message, (name, failed)
            else:
                started += 1
        else:
            assert_refused(window, uncaught)
            assert any(sentence == panel.problem() for sentence in beside(window)), (
                f"{name}: nothing stands beside the field"
            )
    assert failures == [] and uncaught == []
    assert started >= 1


@pytest.mark.parametrize("kind", [*SECTIONS, "budget", "measures", "general"])
def test_that_every_choice_within_a_section_can_be_made(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str], kind: str
) -> None:
    window = open_window(shown=False)
    panel, base = window.experiment_panel, window.experiment_panel.experiment()
    names = registry.names(kind) if kind in panel.components else [""]
    for name in names:
        panel.set_experiment(base)
        if name:
            panel.pick(kind, name)
        form = panel.components[kind].form if name else panel.plain.get(kind, panel.general)
        for editor in form.editors.values():
            combo = editor.editor()
            for row in range(combo.count()) if isinstance(combo, QComboBox) else ():
                combo.setCurrentIndex(row)
                assert editor.value() == combo.currentText()
                assert (panel.problem() == "") == window.controls.start_button.isEnabled()
                if panel.problem():
                    assert_refused(window, uncaught)
    assert uncaught == []


# --- data of one's own -------------------------------------------------------------------------------------------------------------


def picked(window: MainWindow, name: str) -> QLineEdit:
    """Pick a data set of the user's own and return the line of its file."""
    form = window.experiment_panel.components["dataset"]
    form.picker.setCurrentIndex(form.picker.findData(name))
    line = next(
        form.form.editors[field] for field in FILE_FIELDS if field in form.form.editors
    ).editor()
    assert isinstance(line, QLineEdit)
    return line


def fetched_set(name: str) -> None:
    path = public_sets.file_of(name, 1)
    path.parent.mkdir(parents=True)
    x = np.arange(60.0).reshape(20, 3)
    np.savez(
        path,
        x=x,
        y=np.arange(20) % 2,
        input_names=np.array(["a", "b", "c"]),
        class_names=np.array(["u", "v"]),
    )


def test_that_data_without_a_file_are_asked_for_beside_the_field_and_nothing_else_is_previewed(
    qtbot: QtBot, open_window: Callable[..., MainWindow], uncaught: list[str]
) -> None:
    window = open_window()
    panel, preview = window.experiment_panel, window.experiment_panel.preview
    names = [
        component.name
        for component in registry.components("dataset")
        if component.group == "Your own"
    ]
    assert len(names) >= 4
    for name in names:
        panel.pick("dataset", "iris")
        qtbot.waitUntil(lambda: "150 examples" in preview.message.text(), timeout=WAIT)
        picked(window, name)
        assert preview.picture._preview is None and "150 examples" not in preview.message.text()
        assert len(beside(window)) == 1 and "is empty" in beside(window)[0]
        assert_refused(window, uncaught)
        qtbot.waitUntil(lambda: "is empty" in preview.message.text(), timeout=WAIT)
        assert preview.picture._preview is None


def test_that_data_of_ones_own_are_trained_and_previewed_when_their_file_is_typed(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window()
    panel = window.experiment_panel
    components = {"CSV": "csv_file", "NPZ": "npz_file", "IDX": "idx_files"}
    for what, path in own_data(tmp_path).items():
        name = components[what.split()[0]]
        panel.set_experiment(Experiment.from_dict(BASE))
        picked(window, name).clear()
        qtbot.keyClicks(picked(window, name), str(path))
        wait_checked(qtbot, window)
        assert panel.problem() == "" and beside(window) == []
        run = train(qtbot, window)
        assert run.status == "finished" and run.title == f"{path.name} · MLP · SGD"
        trained = Experiment.from_toml(run.experiment)
        assert trained.dataset.name == name and str(path) in run.experiment
        assert trained.loss.name == ("squared_error" if "regression" in what else "cross_entropy")
        assert ("The loss is now" in panel.loss_note.text() and not panel.loss_note.isHidden()) == (
            "regression" in what
        )
        assert_preview_is_trained(qtbot, window, run)
    fetched_set("toy")
    qtbot.keyClicks(picked(window, "openml"), "toy")
    run = train(qtbot, window)
    assert run.status == "finished" and run.title == "toy · MLP · SGD"
    assert_preview_is_trained(qtbot, window, run)


def test_that_a_late_preview_of_other_data_is_not_shown(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window()
    panel = window.experiment_panel
    run: list[object] = []
    window.preview.answered.connect(run.append)
    qtbot.waitUntil(lambda: len(run) == 1, timeout=WAIT)
    panel.pick("dataset", "moons")
    # The answer about iris comes only now.
    window.preview.answered.emit(run[0])
    window.preview.failed.emit("Iris cannot be read.")
    assert panel.preview.picture._preview is None and "Loading" in panel.preview.message.text()
    qtbot.waitUntil(lambda: len(run) == 3, timeout=WAIT)
    assert panel.preview.picture._preview is run[2]


def test_that_another_model_brings_its_loss_as_other_data_do(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False)
    window.experiment_panel.pick("model", "autoencoder")
    assert "does not suit this model" in window.experiment_panel.loss_note.text()
    assert Experiment.from_toml(train(qtbot, window).experiment).loss.name == "squared_error"
    assert len(stored()) == 1
