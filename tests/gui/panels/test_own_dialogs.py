"""Importing data and registering models, as a person does it: look, choose, confirm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from optlab import __version__
from optlab.core import registry
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.panels.machine_dialog import MachineDialog
from optlab.gui.panels.register_dialog import RegisterDialog
from optlab.outside.own_models import records, sources
from optlab.tasks.own_files import ReadingShare

TABLE = "length;width;kind\n" + "".join(
    f"{n},5;{n % 7};{'red' if n % 3 else 'blue'}\n" for n in range(30)
)
NET = """
import torch
from pathlib import Path

Path({trace!r}).write_text("executed")

class WideNet(torch.nn.Module):
    def __init__(self, inputs, outputs, width=8):
        super().__init__()
        self.first = torch.nn.Linear(inputs, width)
        self.second = torch.nn.Linear(width, outputs)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))
"""


@pytest.fixture
def prewarmer() -> Iterator[WorkerPrewarmer]:
    prewarmer = WorkerPrewarmer()
    yield prewarmer
    prewarmer.end()


@pytest.fixture
def importing(qtbot: QtBot, prewarmer: WorkerPrewarmer) -> Iterator[ImportDialog]:
    dialog = ImportDialog(prewarmer)
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.reject()


def usable(qtbot: QtBot, dialog: ImportDialog) -> None:
    qtbot.waitUntil(dialog.use_button.isEnabled, timeout=60_000)


def test_that_a_table_is_read_as_it_seems_to_be_written(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    importing.open_path(str(path))
    usable(qtbot, importing)
    headings = [importing.table.horizontalHeaderItem(place).text() for place in range(3)]  # type: ignore[union-attr]
    assert headings == ["length\nreal", "width\nwhole", "kind\ntarget"]
    assert importing.table.item(1, 0).text() == "1,5"  # type: ignore[union-attr]
    assert "2 classes" in importing.message.text()
    used: list[dict[str, Any]] = []
    importing.useRequested.connect(used.append)
    importing.use_button.click()
    (section,) = used
    assert (section["name"], section["target"], section["delimiter"], section["decimal"]) == (
        "csv_file",
        "kind",
        "semicolon",
        "comma",
    )
    assert registry.build("dataset", section).shape().outputs == 2  # type: ignore[attr-defined]


def test_that_what_to_look_at_before_training_is_pointed_out(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    words = ("Yes", "yes", "no")
    path.write_text(
        ",a,kind\n" + "".join(f"{n},{n * 0.37},{words[n % 3]}\n" for n in range(40)),
        encoding="utf-8",
    )
    importing.open_path(str(path))
    usable(qtbot, importing)
    assert "Column 'column 1' counts the rows" in importing.message.text()
    assert "The classes 'Yes', 'yes' of column 'kind'" in importing.message.text()
    form = importing._form
    assert form is not None
    form.set_values({**form.values(), "ignore": ("column 1",)})
    form.fieldEdited.emit("ignore")
    assert not importing.use_button.isEnabled()
    usable(qtbot, importing)
    assert "counts the rows" not in importing.message.text()


def test_that_nothing_is_shown_of_a_reading_that_was_stopped(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    importing.open_path(str(path))
    usable(qtbot, importing)
    importing._read_later()
    importing._show_result(ReadingShare(0.5))
    assert importing.message.text() == "Reading… 50%"
    importing._show_result(ReadingShare(1.0))
    assert importing.message.text() == "Encoding the columns…"
    importing.stop_button.click()
    importing._show_result(ReadingShare(1.0))
    assert importing.message.text().startswith("Reading was stopped")
    usable(qtbot, importing)  # something has changed: it is read again


def test_that_a_click_on_a_heading_chooses_the_target(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "a,b,c\n" + "".join(f"{n}.5,{n % 4},{n * 2}.25\n" for n in range(40)), encoding="utf-8"
    )
    importing.open_path(str(path))
    usable(qtbot, importing)
    importing.table.horizontalHeader().sectionClicked.emit(0)
    assert not importing.use_button.isEnabled()
    usable(qtbot, importing)
    assert importing._read is not None and importing._read.section()["target"] == "a"
    assert "real-valued" in importing.message.text()


@pytest.mark.parametrize(
    ("content", "text"),
    [("a,b\n1,2\n3\n", "line 3"), ("", "empty"), ("a,b\n1,2\n,3\n4,5\n", "line 3")],
)
def test_that_a_wrong_table_is_told_and_cannot_be_used(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path, content: str, text: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(content, encoding="utf-8")
    importing.open_path(str(path))
    qtbot.waitUntil(lambda: bool(importing.message.property("problem")), timeout=60_000)
    assert str(path) in importing.message.text() and text in importing.message.text()
    assert not importing.use_button.isEnabled()


def test_that_a_file_that_is_not_there_is_told(
    qtbot: QtBot, importing: ImportDialog, tmp_path: Path
) -> None:
    importing.open_path(str(tmp_path / "nowhere.csv"))
    qtbot.waitUntil(lambda: "cannot be read" in importing.message.text(), timeout=60_000)


@pytest.fixture
def registering(qtbot: QtBot, prewarmer: WorkerPrewarmer) -> Iterator[RegisterDialog]:
    dialog = RegisterDialog(prewarmer)
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.reject()


def read_source(qtbot: QtBot, dialog: RegisterDialog, file: Path) -> None:
    """Have the source of a file shown."""
    dialog.open_path(str(file))
    assert not dialog.confirm_button.isEnabled() and "Reading" in dialog.message.text()
    qtbot.waitUntil(dialog.confirm_button.isEnabled, timeout=60_000)


def test_that_nothing_is_executed_before_it_was_confirmed(
    qtbot: QtBot, registering: RegisterDialog, tmp_path: Path
) -> None:
    file, trace = tmp_path / "net.py", tmp_path / "trace"
    file.write_text(NET.format(trace=str(trace)), encoding="utf-8")
    read_source(qtbot, registering, file)
    assert "class WideNet" in registering.facts.text()
    assert "torch.nn.Linear(inputs, width)" in registering.code.toPlainText()
    assert registering.name.text() == "wide_net"
    assert not trace.exists()
    with qtbot.waitSignal(registering.registered, timeout=60_000) as emitted:
        registering.confirm_button.click()
    assert emitted.args == ["own.wide_net"]
    assert trace.exists()
    assert [registration.name for registration in records.read()] == ["wide_net"]


def test_that_a_file_that_changed_after_the_look_is_not_executed(
    qtbot: QtBot, registering: RegisterDialog, tmp_path: Path
) -> None:
    file, trace = tmp_path / "net.py", tmp_path / "trace"
    file.write_text(NET.format(trace=str(trace)), encoding="utf-8")
    read_source(qtbot, registering, file)
    file.write_text(NET.format(trace=str(trace)) + "\n# another\n", encoding="utf-8")
    registering.confirm_button.click()
    qtbot.waitUntil(lambda: "has changed since" in registering.message.text(), timeout=60_000)
    assert not trace.exists() and records.read() == ()


def test_that_a_wrong_name_or_file_closes_the_confirmation(
    qtbot: QtBot, registering: RegisterDialog, tmp_path: Path
) -> None:
    registering.open_path(str(tmp_path / "nowhere.py"))
    qtbot.waitUntil(lambda: bool(registering.message.property("problem")), timeout=60_000)
    assert "nowhere.py" in registering.message.text()
    assert not registering.confirm_button.isEnabled()
    file = tmp_path / "net.py"
    file.write_text(NET.format(trace="x"), encoding="utf-8")
    read_source(qtbot, registering, file)
    assert registering.confirm_button.isEnabled()
    registering.name.setText("Not a name")
    registering._check()
    assert not registering.confirm_button.isEnabled()


def test_that_a_registered_model_can_be_picked_in_a_window_that_was_open(
    qtbot: QtBot, registering: RegisterDialog, tmp_path: Path
) -> None:
    panel = ExperimentPanel()
    qtbot.addWidget(panel)
    form = panel.components["model"]
    assert form.picker.findData("own.wide_net") == -1
    before = form.name()
    file = tmp_path / "net.py"
    file.write_text(NET.format(trace=str(tmp_path / "trace")), encoding="utf-8")
    read_source(qtbot, registering, file)
    with qtbot.waitSignal(registering.registered, timeout=60_000):
        registering.confirm_button.click()
    form.refresh_choices()
    assert form.name() == before and form.picker.currentData() == before
    panel.pick("model", "own.wide_net")
    assert form.name() == "own.wide_net" and "width" in form.form.editors


def test_that_what_several_inputs_take_is_shown_and_asked(
    qtbot: QtBot, registering: RegisterDialog, tmp_path: Path
) -> None:
    file = tmp_path / "net.py"
    source = NET.format(trace=str(tmp_path / "trace")).replace("(self, x)", "(self, x, city)")
    source = source.replace("first(x)", "first(x) + city.sum(-1, keepdim=True)").replace(
        "inputs, width", "inputs['x'], width"
    )
    source = source.replace(
        "    def __init__", "    inputs = {'city': 'town'}\n\n    def __init__", 1
    )
    file.write_text(source, encoding="utf-8")
    read_source(qtbot, registering, file)
    lines = registering.inputs
    assert {name: line.text() for name, line in lines.items()} == {"x": "", "city": "town"}
    assert "what the others leave" in lines["x"].placeholderText()
    # Another source has other inputs, or none.
    plain = tmp_path / "plain.py"
    plain.write_text(NET.format(trace="x"), encoding="utf-8")
    registering._show(sources.find(str(plain)))
    assert registering.inputs == {} and registering.form.rowCount() == 2
    registering._show(sources.find(str(file)))
    lines = registering.inputs
    lines["city"].setText('"place, now", age')
    with qtbot.waitSignal(registering.registered, timeout=60_000):
        registering.confirm_button.click()
    (registration,) = records.read()
    assert registration.inputs == ("x", "city")
    assert registration.columns == ('city="place, now", age',)


def test_that_the_machine_and_what_went_wrong_can_be_copied_together(
    qtbot: QtBot, prewarmer: WorkerPrewarmer
) -> None:
    dialog = MachineDialog(prewarmer, "It broke.\n\nTraceback: here")
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: "data folder" in dialog.text.toPlainText().lower(), timeout=60_000)
    dialog.copy_button.click()
    copied = QGuiApplication.clipboard().text()
    assert copied == dialog.text.toPlainText()
    assert (
        "Traceback: here" in copied
        and "torch" in copied.lower()
        and f"OptLab {__version__}" in copied
    )
    dialog.reject()
