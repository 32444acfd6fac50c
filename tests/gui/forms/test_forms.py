"""Forms: derived from fields, patient with what is typed, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from optlab.core import paths, registry
from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import (
    Field,
    FieldSet,
    Sizes,
    Texts,
    choice,
    flag,
    integer,
    names,
    number,
    sizes,
    text,
)
from optlab.experiment import Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General
from optlab.gui import theme
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.field_editor import FieldEditor, text_of
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.formula import image, typeset
from optlab.gui.forms.scale import POSITIONS, scale
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.help_page import HelpPage
from optlab.outside.own_models import records


class Toy(Component):
    """Every kind of field."""

    kind: ClassVar[str] = "toy"
    name: ClassVar[str] = "toy"
    lr: float = number(
        0.1, "Rate", symbol="ε", gt=0.0, le=10.0, log=True, slider=(1e-4, 10.0), help="A rate."
    )
    count: int = integer(3, "Count", ge=1, le=9, slider=(1, 9), help="A count.")
    on: bool = flag(True, "On", help="A switch.")
    mode: Literal["a", "b"] = choice("a", "Mode", help="A choice.")
    layers: Sizes = sizes((4, 2), "Layers", help="Sizes.")
    names: Texts = names((), "Names", help="Names.")
    title: str = text("", "Title", help="A title.", longest=5)


OWNERS: list[tuple[type[FieldSet], str]] = [
    *((component, kind) for kind in SECTIONS for component in registry.components(kind)),
    *((owner, name) for name, owner in PLAIN_SECTIONS.items()),
    (General, ""),
]
FIELDS = [(owner, where, field) for owner, where in OWNERS for field in owner.fields()]


def wrong_texts(field: Field) -> list[str]:
    """What must be refused in a line of this kind."""
    if field.kind in ("number", "integer"):
        wrong = ["x", "", "1 2", "nan", "-1e999", "0x10"] + (
            ["0,5"] if field.kind == "number" else ["0.5"]
        )
        if field.ge is not None:
            wrong.append(repr(field.ge - 1))
        if field.gt is not None:
            wrong.append(repr(field.gt))
        if field.le is not None:
            wrong.append(repr(field.le * 2 + 1))
        if field.lt is not None:
            wrong.append(repr(field.lt))
        return wrong
    if field.kind == "sizes":
        return ["a", "3, -1", "0", "1.5", "70000"]
    return []


def type_into(editor: FieldEditor, typed: str) -> None:
    line = editor.editor()
    assert isinstance(line, QLineEdit)
    line.setText(typed)
    line.textEdited.emit(typed)


@pytest.fixture
def panel(qtbot: QtBot) -> ExperimentPanel:
    made = ExperimentPanel()
    qtbot.addWidget(made)
    made.set_experiment(Experiment.load(paths.presets() / "digits-mlp.toml"))
    made._typing_timer.stop()
    return made


def test_that_every_kind_of_field_has_its_editor(qtbot: QtBot) -> None:
    form = FieldsForm(Toy, "toy")
    qtbot.addWidget(form)
    kinds = {name: type(editor.editor()) for name, editor in form.editors.items()}
    assert kinds == {
        "lr": QLineEdit,
        "count": QLineEdit,
        "on": QCheckBox,
        "mode": QComboBox,
        "layers": QLineEdit,
        "names": QLineEdit,
        "title": QLineEdit,
    }
    assert form.values() == {
        "lr": 0.1,
        "count": 3,
        "on": True,
        "mode": "a",
        "layers": [4, 2],
        "names": [],
        "title": "",
    }
    assert form.editors["lr"].slider is not None and form.editors["layers"].slider is None
    assert "ε" in form.editors["lr"].label.text()
    assert "A rate." in form.editors["lr"].editor().toolTip()
    assert all(editor.editor().accessibleName() for editor in form.editors.values())


def test_that_editors_give_what_is_typed_and_picked(qtbot: QtBot) -> None:
    form = FieldsForm(Toy, "toy")
    qtbot.addWidget(form)
    edited: list[str] = []
    form.fieldEdited.connect(edited.append)
    type_into(form.editors["lr"], "2.5e-3")
    type_into(form.editors["layers"], "8, 8, 3")
    type_into(form.editors["names"], "one, two")
    form.editors["on"].editor().click()
    form.editors["mode"].editor().setCurrentText("b")
    assert form.values() == {
        "lr": 0.0025,
        "count": 3,
        "on": False,
        "mode": "b",
        "layers": [8, 8, 3],
        "names": ["one", "two"],
        "title": "",
    }
    assert edited == ["lr", "layers", "names", "on", "mode"]


@pytest.mark.parametrize(
    ("owner", "where", "field"),
    FIELDS,
    ids=lambda value: getattr(value, "name", None) or str(value),
)
def test_that_bad_input_is_answered_beneath_the_field(
    qtbot: QtBot, owner: type[FieldSet], where: str, field: Field
) -> None:
    editor = FieldEditor(owner, field, where)
    qtbot.addWidget(editor)
    before = editor.value()
    for typed in wrong_texts(field):
        type_into(editor, typed)
        assert field.name in editor.error(), (field, typed)
        assert field.allowed.split(" and ")[0] in editor.error()
        assert not editor.problem.isHidden()
        assert editor.editor().text() == typed  # type: ignore[attr-defined]
        assert editor.value() == before
    editor.set_value(field.default)
    assert editor.error() == ""
    assert editor.problem.isHidden()


@pytest.mark.parametrize("section", ["dataset", "model", "optimizer", "budget", "batches", ""])
def test_that_a_bad_field_makes_no_experiment(panel: ExperimentPanel, section: str) -> None:
    changed: list[Any] = []
    panel.experimentChanged.connect(changed.append)
    field = {
        "dataset": "seed",
        "model": "hidden",
        "optimizer": "lr",
        "budget": "steps",
        "batches": "size",
        "": "seed",
    }[section]
    path = f"{section}.{field}" if section else field
    editor = panel._editors()[path]
    type_into(editor, "x")
    assert changed[-1] is None
    assert path in panel.problem()
    with pytest.raises(InvalidInput) as refused:
        panel.experiment()
    assert refused.value.field == path
    type_into(editor, "16")
    assert isinstance(changed[-1], Experiment)
    assert panel.problem() == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in paths.presets().glob("*.toml")))
def test_that_the_panel_gives_back_what_it_was_given(panel: ExperimentPanel, name: str) -> None:
    requested = Experiment.load(Path(paths.presets() / f"{name}.toml"))
    panel.set_experiment(requested)
    assert panel.experiment() == requested


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lr=st.floats(1e-300, 1e300),
    momentum=st.floats(0.0, 0.9999999),
    seed=st.integers(0, 2**63 - 1),
    hidden=st.lists(st.integers(1, 300), max_size=4),
)
def test_that_numbers_survive_the_panel_exactly(
    panel: ExperimentPanel, lr: float, momentum: float, seed: int, hidden: list[int]
) -> None:
    requested = Experiment.from_dict(
        {
            "seed": seed,
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": hidden},
            "optimizer": {"name": "momentum", "lr": lr, "momentum": momentum},
        }
    )
    panel.set_experiment(requested)
    panel._typing_timer.stop()
    editors = panel._editors()
    for path in ("optimizer.lr", "optimizer.momentum", "seed", "model.hidden"):
        type_into(editors[path], editors[path].editor().text())  # type: ignore[attr-defined]
    assert panel.experiment() == requested


def test_that_a_log_slider_moves_by_ratios() -> None:
    found = scale(Toy.field("lr"))
    assert found is not None
    assert found.value(0) == 1e-4 and found.value(POSITIONS) == 10.0
    middle = found.value(POSITIONS // 2)
    assert middle == pytest.approx((1e-4 * 10.0) ** 0.5, rel=0.01)
    assert [found.position(found.value(place)) for place in (0, 250, 500, 1000)] == [
        0,
        250,
        500,
        1000,
    ]
    assert found.position(1e9) == POSITIONS and found.position(1e-9) == 0
    counts = scale(Toy.field("count"))
    assert counts is not None and {counts.value(place) for place in range(POSITIONS + 1)} == set(
        range(1, 10)
    )


def test_that_slider_and_line_show_the_same(qtbot: QtBot) -> None:
    editor = FieldEditor(Toy, Toy.field("lr"), "toy")
    qtbot.addWidget(editor)
    assert editor.slider is not None
    editor.slider.setValue(750)
    assert editor.value() == float(editor.editor().text())  # type: ignore[attr-defined]
    type_into(editor, "0.001")
    assert editor.slider.value() == 200
    type_into(editor, "5e-6")  # beyond the slider, within the bounds
    assert editor.value() == 5e-6 and editor.slider.value() == 0


def test_that_scrolling_over_a_form_changes_nothing(qtbot: QtBot, panel: ExperimentPanel) -> None:
    before = panel.experiment()
    widgets = [
        panel.components["optimizer"].picker,
        panel.components["optimizer"].form.editors["lr"].slider,
    ]
    for widget in widgets:
        assert widget is not None
        center = QPointF(widget.rect().center())
        event = QWheelEvent(
            center,
            center,
            QPoint(),
            QPoint(0, -240),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, event)
    assert panel.experiment() == before


def test_that_looking_at_another_component_loses_no_edit(panel: ExperimentPanel) -> None:
    form = panel.components["optimizer"]
    type_into(form.form.editors["lr"], "0.123")
    form.picker.setCurrentIndex(form.picker.findData("adam"))
    assert form.values()["name"] == "adam" and form.values()["lr"] == 0.001
    form.picker.setCurrentIndex(form.picker.findData("momentum"))
    assert form.values()["lr"] == 0.123
    form.reset_button.click()
    assert form.values()["lr"] == 0.01


def test_that_only_live_fields_are_open_while_a_run_goes(panel: ExperimentPanel) -> None:
    sent: list[tuple[str, float]] = []
    panel.liveValueChanged.connect(lambda path, value: sent.append((path, value)))
    panel.set_locked(True)
    editors = panel._editors()
    assert editors["optimizer.lr"].isEnabled() and editors["optimizer.momentum"].isEnabled()
    assert editors["batches.size"].isEnabled()
    assert not editors["optimizer.form"].isEnabled()
    assert not editors["model.hidden"].isEnabled() and not panel.general.isEnabled()
    assert not panel.components["optimizer"].picker.isEnabled()
    type_into(editors["optimizer.lr"], "0.5")
    type_into(editors["optimizer.lr"], "-1")
    assert sent == [("optimizer.lr", 0.5)]
    panel.set_locked(False)
    assert editors["model.hidden"].isEnabled()


def test_that_another_task_brings_a_fitting_loss_and_says_so(panel: ExperimentPanel) -> None:
    form = panel.components["dataset"]
    form.picker.setCurrentIndex(form.picker.findData("diabetes"))
    panel._typing_timer.stop()
    assert panel.chosen("loss") == "squared_error"
    assert not panel.loss_note.isHidden() and "Squared error" in panel.loss_note.text()
    assert panel.experiment().dataset.name == "diabetes"


def test_that_parts_that_do_not_fit_are_said_with_a_reason(panel: ExperimentPanel) -> None:
    form = panel.components["dataset"]
    form.picker.setCurrentIndex(form.picker.findData("diabetes"))
    panel._typing_timer.stop()
    loss = panel.components["loss"]
    loss.picker.setCurrentIndex(loss.picker.findData("cross_entropy"))
    assert "loss.name" in panel.problem()
    assert panel.problem() in loss.problem.text()
    assert not loss.problem.isHidden()
    loss.picker.setCurrentIndex(loss.picker.findData("squared_error"))
    assert loss.problem.isHidden()


@pytest.mark.parametrize(
    "component",
    [
        pytest.param(component, marks=[pytest.mark.soak] if place % 3 else [], id=component.name)
        for place, component in enumerate(
            c for kind in registry.kinds() for c in registry.components(kind) if c.rule
        )
    ],
)
def test_that_every_rule_can_be_typeset(qtbot: QtBot, component: type[Component]) -> None:
    for line in component.rule:
        assert typeset(line, "#000000").problem == ""
        picture = image(line, "#000000", 1.0)
        assert picture is not None and picture.width() > 10
        inked = sum(
            picture.pixelColor(x, y).alpha() > 128
            for x in range(picture.width())
            for y in range(picture.height())
        )
        assert inked > 10


@pytest.mark.parametrize("kind", registry.kinds())
def test_that_every_page_can_be_opened(qtbot: QtBot, kind: str) -> None:
    for component in registry.components(kind):
        shown = HelpPage(kind, component.name)
        qtbot.addWidget(shown)
        text = " ".join(shown.text.toPlainText().split())
        assert component.label in text
        assert shown.text.page is not None and shown.text.page.sentence in text
        for field in component.fields():
            assert f"{kind}.{field.name}" in text


def test_that_a_page_follows_the_theme(qtbot: QtBot) -> None:
    shown = HelpPage("optimizer", "adam")
    qtbot.addWidget(shown)
    try:
        theme.choose("dark")
        shown.text._write()
        assert theme.DARK.muted in shown.text.document().defaultStyleSheet()
    finally:
        theme.choose("system")


def test_that_forms_can_ask_for_a_page(panel: ExperimentPanel) -> None:
    requested: list[tuple[str, str]] = []
    panel.pageRequested.connect(lambda kind, name: requested.append((kind, name)))
    panel.components["optimizer"].page_button.click()
    assert requested == [("optimizer", "momentum")]


@pytest.mark.parametrize("value", [0.1, 1e-8, 5.0, 123456789.0, 1 / 3, 2.5e-300])
def test_that_numbers_are_written_exactly(value: float) -> None:
    assert float(text_of(value)) == value


def test_that_pickers_list_every_component(qtbot: QtBot) -> None:
    for kind in SECTIONS:
        form = ComponentForm(kind)
        qtbot.addWidget(form)
        listed = [form.picker.itemData(row) for row in range(form.picker.count())]
        assert [name for name in listed if name is not None] == registry.names(kind)


def test_that_a_picker_shows_what_cannot_be_used_and_why(qtbot: QtBot) -> None:
    records.place().parent.mkdir(parents=True, exist_ok=True)
    records.place().write_text('format = 1\n[[model]]\nname = "bad"\n', encoding="utf-8")
    form = ComponentForm("model")
    qtbot.addWidget(form)
    items = form.picker.model()
    index = form.picker.findText("own.bad (not available)")
    assert index >= 0
    assert "is damaged" in items.index(index, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert not items.flags(items.index(index, 0)) & Qt.ItemFlag.ItemIsEnabled
    assert form.picker.findData("mlp") >= 0
