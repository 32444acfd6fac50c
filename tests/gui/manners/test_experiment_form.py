"""The form folds, searches, hides what does nothing, and is worked by the keyboard."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.gui import theme
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.main_window import MainWindow

from .conftest import Open


def test_that_the_strip_shows_the_numbers_that_are_changed_during_runs(window: MainWindow) -> None:
    panel = window.experiment_panel
    assert panel.strip.paths() == [
        "optimizer.lr",
        "optimizer.momentum",
        "batches.size",
        "clipping.threshold",
    ]
    panel.pick("clipping", "none")
    panel.pick("optimizer", "sgd")
    assert panel.strip.paths() == ["optimizer.lr", "batches.size"]
    for optimizer in registry.components("optimizer")[::7]:
        panel.pick("optimizer", optimizer.name)
        shown = panel.strip.paths()
        assert shown and "batches.size" in shown, optimizer.name
        if "lr" in optimizer.model_fields and "lr" not in optimizer.fixed:
            assert shown[0] == "optimizer.lr", optimizer.name
    panel._typing_timer.stop()


def test_that_strip_and_form_are_two_views_of_one_value(qtbot: QtBot, window: MainWindow) -> None:
    panel = window.experiment_panel
    row, editor = panel.strip.row("optimizer.lr"), panel.form.editors()["optimizer.lr"]
    row.line.selectAll()
    qtbot.keyClicks(row.line, "0.3")
    assert editor.value() == 0.3 and editor.slider is not None
    assert row.slider.value() == editor.slider.value()
    editor.slider.setValue(200)
    assert row.line.text() == editor.text() and row.slider.value() == 200
    row.slider.setValue(700)
    assert float(row.line.text()) == editor.value()
    row.line.selectAll()
    qtbot.keyClicks(row.line, "much")
    assert editor.error() and row.line.property("invalid") and "optimizer.lr" in panel.problem()
    panel.change_live({"optimizer.lr": 0.01})
    assert row.line.text() == "0.01" and not row.line.property("invalid")
    # Another component: the rows are views of its editors, and of them alone.
    panel.pick("optimizer", "adam")
    editor.set_value(0.7)
    assert panel.strip.row("optimizer.lr").line.text() == "0.001"
    panel.set_locked(True)
    assert panel.strip.row("optimizer.lr").line.isEnabled()
    panel.set_locked(False)


def test_that_each_section_folds_to_a_line_that_says_what_is_chosen(window: MainWindow) -> None:
    panel = window.experiment_panel
    panel.form.set_opened(())
    panel.pick("optimizer", "adam")
    panel.form.set_opened(())
    assert panel.form.opened() == []
    assert panel.sections["optimizer"].summary.text() == "Adam, ε 0.001, ρ₁ 0.9"
    assert (
        panel.sections["model"].summary.text().startswith("Multilayer perceptron, Hidden layers 4")
    )
    assert all(
        section.summary.text() for key, section in panel.sections.items() if key != "measures"
    )


def test_that_a_search_shows_the_fields_that_are_meant(window: MainWindow) -> None:
    panel = window.experiment_panel
    form = panel.form
    before = form.opened()

    def shown() -> dict[str, list[str]]:
        forms = {key: f.form for key, f in panel.components.items()} | panel.plain
        return {
            key: forms[key].shown_fields()
            for key, section in panel.sections.items()
            if not section.isHidden() and key in forms and section.head.isChecked()
        }

    panel.search.setText("momentum")
    assert shown() == {"optimizer": panel.components["optimizer"].form.in_use()}
    panel.search.setText("learning rate")
    assert shown()["optimizer"] == ["lr"] and "dataset" not in shown()
    panel.search.setText("dividing")  # of the help alone
    assert shown() == {}, "it belongs to a field that has no effect"
    assert not form.nothing.isHidden()
    panel.form.editors()["model.batch_norm"].editor().click()  # type: ignore[attr-defined]
    panel.search.setText("dividing by zero")
    assert "epsilon" in shown()["model"]
    panel.search.clear()
    assert form.opened() == before and form.nothing.isHidden()
    assert all(not section.isHidden() for section in panel.sections.values())
    panel.search.setText("seed")
    panel.pick("optimizer", "adam")
    assert panel.search.text() == "" and panel.sections["optimizer"].opened


def test_that_a_field_is_hidden_while_it_has_no_effect_unless_it_is_wrong(
    qtbot: QtBot, window: MainWindow
) -> None:
    form: FieldsForm = window.experiment_panel.components["model"].form
    assert "epsilon" not in form.shown_fields()
    switch = form.editors["batch_norm"].editor()
    switch.click()  # type: ignore[attr-defined]
    assert "epsilon" in form.shown_fields()
    line = form.editors["epsilon"].editor()
    assert isinstance(line, QLineEdit)
    line.selectAll()
    qtbot.keyClicks(line, "-1")
    switch.click()  # type: ignore[attr-defined]
    assert "epsilon" in form.shown_fields(), "its text keeps the experiment from starting"
    form.editors["epsilon"].set_value(1e-5)
    assert "epsilon" not in form.shown_fields()


def test_that_tab_reaches_the_learning_rate_and_every_stop_is_named(
    qtbot: QtBot, open_window: Open
) -> None:
    window = open_window(shown=True)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    target = window.experiment_panel.strip.row("optimizer.lr").line
    stops: list[QWidget] = []
    for _ in range(300):
        qtbot.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Tab)
        focus = QApplication.focusWidget()
        assert focus is not None
        if stops and focus is stops[0]:
            break
        stops.append(focus)
    assert target in stops[:10], [s.accessibleName() or s.objectName() for s in stops[:12]]
    nameless = [
        f"{type(stop).__name__} in {type(stop.parentWidget()).__name__}"
        for stop in stops
        if not stop.accessibleName()
        and not (isinstance(stop, QAbstractButton | QLabel) and stop.text())
    ]
    assert nameless == []


def test_that_the_focus_is_seen_in_both_themes(
    qtbot: QtBot, open_window: Open, themed: QApplication
) -> None:
    window = open_window(shown=True)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    panel = window.experiment_panel
    widgets: dict[str, QWidget] = {
        "strip": panel.strip.row("optimizer.lr").line,
        "slider": panel.strip.row("optimizer.lr").slider,
        "search": panel.search,
        "section": panel.sections["model"].head,
        "picker": panel.components["model"].picker,
        "page": panel.components["model"].page_button,
        "check box": panel.form.editors()["model.batch_norm"].editor(),
        "choice": panel.form.editors()["model.activation"].editor(),
        "start": window.controls.start_button,
        "step": window.controls.step_button,
        "tabs": window.places.tabBar(),
    }
    for name in ("light", "dark"):
        theme.choose(name)  # type: ignore[arg-type]
        unseen = []
        for what, widget in widgets.items():
            widgets["search" if what != "search" else "strip"].setFocus()
            if panel.form.isAncestorOf(widget):
                panel.form.ensureWidgetVisible(widget)
            before = widget.grab().toImage()
            # By the keyboard: away and back.
            widget.setFocus(Qt.FocusReason.TabFocusReason)
            qtbot.keyClick(widget, Qt.Key.Key_Tab)
            qtbot.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Backtab)
            assert widget.hasFocus(), what
            if widget.grab().toImage() == before:
                unseen.append(what)
        assert unseen == [], name
