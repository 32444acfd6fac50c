"""A table of customers from the import dialog to a stored run, and the same by one command."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from optlab.cli.app import main
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.import_dialog import ImportDialog
from tests.customer_table import ROLES, write_customers

from .conftest import BASE, in_dialog, stored, train, wait_checked


def pick(picker: QComboBox, text: str) -> None:
    """Choose an entry as a user does."""
    index = picker.findText(text)
    assert index >= 0 and picker.isEnabled(), text
    picker.setCurrentIndex(index)
    picker.activated.emit(index)


def shown(dialog: ImportDialog, column: str, heading: int) -> str:
    table = dialog.columns
    (row,) = [r for r in range(table.rowCount()) if table.item(r, 0).text() == column]  # type: ignore[union-attr]
    return table.item(row, heading).text()  # type: ignore[union-attr]


def use_customers(dialog: ImportDialog) -> Iterator[Callable[[], bool]]:
    """Yield what is waited for, between the acts of a user."""
    yield lambda: bool(dialog.message.property("problem"))
    assert "the value is missing" in dialog.message.text()
    assert dialog._form is not None and not dialog.use_button.isEnabled()
    assert dialog.columns.picker("churn").currentText() == "target"
    assert dialog.columns.picker("customer_id").currentText() == "id"
    assert dialog.columns.picker("city").currentText() == "category"
    missing = dialog._form.editors["missing"].editor()
    assert isinstance(missing, QComboBox)
    missing.setCurrentText("indicator")
    yield dialog.use_button.isEnabled
    assert shown(dialog, "city", 4).startswith("6 inputs: Bonn, Genève, Köln")
    assert shown(dialog, "income", 4) == "2 inputs: income, (missing)"
    assert shown(dialog, "plan", 5).startswith("basic 6")
    headings = [
        dialog.encoded.horizontalHeaderItem(place).text()  # type: ignore[union-attr]
        for place in range(dialog.encoded.columnCount())
    ]
    assert "city=Köln" in headings and headings[-1] == "target"
    assert dialog.encoded.item(0, headings.index("city=Köln")).text() in ("0", "1")  # type: ignore[union-attr]
    pick(dialog.columns.picker("signup_date"), "ignore")
    assert not dialog.use_button.isEnabled()
    yield dialog.use_button.isEnabled
    assert "signup_date" not in dialog._form.values()["columns"]
    dialog.use_button.click()


def test_that_a_table_of_twenty_columns_trains_from_the_dialog_and_by_one_command(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_customers(tmp_path / "customers.csv", encoding="windows-1252")
    window = open_window()
    window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
    script: list[Iterator[Callable[[], bool]]] = []
    waiting: list[Callable[[], bool]] = []

    def act(dialog: ImportDialog) -> bool:
        if not script:
            script.append(use_customers(dialog))
            waiting.append(next(script[0]))
        if waiting[0]():
            try:
                waiting[0] = next(script[0])
            except StopIteration:
                return True
        return False

    in_dialog(ImportDialog, act)
    window.secondary_windows.import_data(str(path))
    wait_checked(qtbot, window)
    assert window.experiment_panel.problem() == ""
    run = train(qtbot, window)
    trained = Experiment.from_toml(run.experiment)
    assert run.status == "finished"
    assert trained.dataset.values()["encoding"] == "windows-1252"
    # The same by one command, which suggests the same roles.
    settings = [
        "dataset.missing=indicator",
        "dataset.columns=signup_date=ignore",
        "model.hidden=4",
        "budget.steps=2",
        "measures.weights=0",
    ]
    assert main(["run", str(path), *[w for s in settings for w in ("--set", s)], "--json"]) == 0
    other = stored()[0]
    again = Experiment.from_toml(other.experiment)
    assert other.theta_sha256 == run.theta_sha256
    assert set(again.dataset.values()["columns"]) == {
        *(role for role in ROLES if not role.startswith("signup_date")),
        "signup_date=ignore",
    }

    def digest(experiment: Experiment) -> str:
        return hashlib.sha256(experiment.dataset.load().test.x.tobytes()).hexdigest()

    assert digest(again) == digest(trained)
    # Of 240 customers 48 are in the test part, on which its error is computed.
    final = main(["measure", run.id, "--test", "--json"])
    assert final == 0 and "test_error" in capsys.readouterr().out
    data = trained.dataset.load()
    assert len(data.test) == 48 and np.isfinite(data.test.x).all()
