"""The form of one kind of component: a picker, the rule, and the fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from optlab.core import registry
from optlab.experiment.pages import sentence
from optlab.experiment.sections import live_fields
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.formula import FormulaView
from optlab.gui.plain_text import PlainLabel, plain

_SUMMARIZED = 3
"""Values that a summary names at most."""


class ComponentForm(QWidget):
    """Picker, formula and fields of one kind of component.

    The values of each component are remembered, so that selecting another one and returning loses
    nothing.

    Signals: ``changed()``: another component was selected, or a field edited;
    ``fieldEdited(str)``: the field that was edited; ``pageRequested(str, str)``: kind and name of a
    page to open; ``replaced()``: another component is shown, with other fields.
    """

    changed = Signal()
    replaced = Signal()
    fieldEdited = Signal(str)
    pageRequested = Signal(str, str)

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._remembered: dict[str, dict[str, Any]] = {}
        self._form: FieldsForm | None = None
        self.picker = _picker(kind)
        self.picker.installEventFilter(self)
        self.page_button = self._button(
            "?", f"Explain this {kind}: rule, symbols, defaults and source"
        )
        self.reset_button = self._button(
            "↺", "Reset all fields of this component to their defaults"
        )
        self.sentence = PlainLabel("")
        self.sentence.setProperty("role", "muted")
        self.sentence.setWordWrap(True)
        self.problem = PlainLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.formula = FormulaView()
        self.picker.currentIndexChanged.connect(self._selected)
        self.page_button.clicked.connect(lambda: self.pageRequested.emit(self.kind, self.name()))
        self.reset_button.clicked.connect(self._reset)
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.picker, 1)
        head.addWidget(self.reset_button)
        head.addWidget(self.page_button)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self._layout.addLayout(head)
        self._layout.addWidget(self.problem)
        self._layout.addWidget(self.sentence)
        self._layout.addWidget(self.formula)
        self._shown = ""
        self._show(registry.names(kind)[0])

    # --- values -----------------------------------------------------------------------------------

    def name(self) -> str:
        """Return the name of the selected component."""
        return self._shown

    def values(self) -> dict[str, Any]:
        """Return the section as in an experiment file: name and fields."""
        assert self._form is not None
        return {"name": self.name(), **self._form.values()}

    def set_values(self, section: dict[str, Any]) -> None:
        """Show a section without emitting a signal."""
        rest = dict(section)
        self._show(rest.pop("name"))
        assert self._form is not None
        self._form.set_values(rest)

    @property
    def form(self) -> FieldsForm:
        """The form of the fields of the selected component."""
        assert self._form is not None
        return self._form

    def errors(self) -> dict[str, str]:
        """Return the error message of each field with an invalid value."""
        return self.form.errors()

    def show_problem(self, sentence: str) -> None:
        """Show below the picker why this component cannot be used; "" removes the message."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def refresh_choices(self) -> None:
        """List the current components: own models may have been registered or removed."""
        updated = _picker(self.kind)
        blocked = self.picker.blockSignals(True)
        entries, mine = updated.model(), self.picker.model()
        assert isinstance(entries, QStandardItemModel) and isinstance(mine, QStandardItemModel)
        # The model stays: views that are open keep what they have of it.
        mine.removeRows(0, mine.rowCount())
        while entries.rowCount():
            mine.appendRow(entries.takeRow(0))
        self.picker.setCurrentIndex(self.picker.findData(self._shown))
        self.picker.blockSignals(blocked)
        updated.deleteLater()
        if (
            self._shown in registry.names(self.kind)
            and registry.get(self.kind, self._shown).fields() != self.form.owner.fields()
        ):
            # A model was registered again under the same name, with other arguments.
            name, self._shown = self._shown, ""
            self._show(name)

    def set_locked(self, locked: bool, live: frozenset[str]) -> None:
        """Lock the form during a run: only the fields in ``live`` stay editable."""
        self.picker.setEnabled(not locked)
        self.reset_button.setEnabled(not locked)
        for name, editor in self.form.editors.items():
            editor.setEnabled(not locked or name in live)

    def help_topic(self) -> tuple[str, str, str]:
        """Return kind and name of the selected component, and no field."""
        return self.kind, self.name(), ""

    def show_only(self, names: Collection[str] | None) -> None:
        """Show the named fields and nothing else; None shows all."""
        self.form.show_only(names)
        self.sentence.setVisible(names is None)
        self.formula.setVisible(names is None and bool(registry.get(self.kind, self.name()).rule))

    def summary(self) -> str:
        """Return the selected component and its most telling values, on one line.

        These are the values that are always in sight; where it has none of these, those that differ
        from their defaults.
        """
        component = registry.get(self.kind, self.name())
        editors = self.form.editors
        count = component.section.in_strip
        if count:
            names = [field.name for field in live_fields(self.kind, component)][:count]
        else:
            used = self.form.in_use()
            names = [name for name in used if editors[name].value() != editors[name].field.default]
        values = [
            f"{editors[name].field.symbol or editors[name].field.label} {editors[name].text()}"
            for name in names[:_SUMMARIZED]
        ]
        return ", ".join([self.picker.currentText(), *values])

    # --- selecting --------------------------------------------------------------------------------

    def _selected(self) -> None:
        name = self.picker.currentData()
        if name is not None and name != self._shown:
            self._show(name)
            self.changed.emit()

    def _show(self, name: str) -> None:
        if name == self._shown:
            return
        component = registry.get(self.kind, name)
        if self._form is not None:
            if self._shown:
                self._remembered[self._shown] = self._form.values()
            self._layout.removeWidget(self._form)
            self._form.hide()
            self._form.deleteLater()
        self._shown = name
        if self.picker.findData(name) < 0:
            self.refresh_choices()
        blocked = self.picker.blockSignals(True)
        self.picker.setCurrentIndex(self.picker.findData(name))
        self.picker.blockSignals(blocked)
        self._form = FieldsForm(component, self.kind)
        self._form.set_values(self._remembered.get(name, {}))
        self._form.fieldEdited.connect(self._edited)
        self._layout.addWidget(self._form)
        # A widget that is new comes last in the order of Tab.
        stop: QWidget = self.page_button
        for following in self._form.stops():
            QWidget.setTabOrder(stop, following)
            stop = following
        summary = sentence(component)
        self.sentence.setText(summary)
        self.picker.setToolTip(plain(summary))
        self.formula.set_lines(component.rule)
        self.replaced.emit()

    def _edited(self, name: str) -> None:
        self.fieldEdited.emit(name)
        self.changed.emit()

    def _reset(self) -> None:
        self.form.set_values({})
        self.changed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        if (
            watched is self.picker
            and event.type() == QEvent.Type.Wheel
            and not self.picker.hasFocus()
        ):
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _button(self, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        return button


def _picker(kind: str) -> QComboBox:
    """Return a combo box of all components of a kind, under the headings of their groups."""
    combo = QComboBox()
    combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    combo.setAccessibleName(kind.capitalize())
    model = QStandardItemModel(combo)
    components = registry.components(kind)
    groups = list(dict.fromkeys(component.group for component in components))
    for group in groups:
        if group and len(groups) > 1:
            heading = QStandardItem(group)
            heading.setFlags(Qt.ItemFlag.NoItemFlags)
            font = heading.font()
            font.setBold(True)
            heading.setFont(font)
            model.appendRow(heading)
        for component in components:
            if component.group == group:
                item = QStandardItem(component.label)
                item.setData(component.name, Qt.ItemDataRole.UserRole)
                reason = component.unavailable()
                if reason:
                    item.setText(f"{component.label} (not available)")
                item.setToolTip(plain(reason or sentence(component)))
                model.appendRow(item)
    for name, reason in registry.refused(kind).items():
        item = QStandardItem(f"{name} (not available)")
        item.setToolTip(plain(reason))
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        model.appendRow(item)
    combo.setModel(model)
    return combo
