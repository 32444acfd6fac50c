"""A section of the experiment: pick a component, see its rule, edit its fields."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from optlab.core import registry
from optlab.experiment.pages import sentence
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.formula import FormulaView


class ComponentForm(QWidget):
    """Picker, formula and fields of one kind of component.

    What was edited is remembered for each component, so that looking at another one and coming back
    loses nothing.

    Signals:
        changed: another component was picked, or a field edited. fieldEdited: this field was
            edited. pageRequested: kind and name of a page to open.
    """

    changed = Signal()
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
            "?", f"Explain this {kind}: rule, symbols, defaults and where it comes from"
        )
        self.reset_button = self._button(
            "↺", "Put all fields of this component back to their defaults"
        )
        self.sentence = QLabel("")
        self.sentence.setProperty("role", "muted")
        self.sentence.setWordWrap(True)
        self.problem = QLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.formula = FormulaView()
        self.picker.currentIndexChanged.connect(self._picked)
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

    # --- what the panel asks ------------------------------------------------------------------------------------------------------

    def name(self) -> str:
        """Name of the component that is picked."""
        return self._shown

    def values(self) -> dict[str, Any]:
        """The section as a file has it: name and fields."""
        assert self._form is not None
        return {"name": self.name(), **self._form.values()}

    def set_values(self, section: dict[str, Any]) -> None:
        """Show a section, without saying that it was edited."""
        rest = dict(section)
        self._show(rest.pop("name"))
        assert self._form is not None
        self._form.set_values(rest)

    @property
    def form(self) -> FieldsForm:
        """The form of the picked component's fields."""
        assert self._form is not None
        return self._form

    def errors(self) -> dict[str, str]:
        """Field → why what is typed cannot be used."""
        return self.form.errors()

    def show_problem(self, sentence: str) -> None:
        """Say beneath the picker why this component cannot be used here; "" takes it away."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def refresh_choices(self) -> None:
        """Show what the catalogue holds now: a model of the user's own may have come or gone."""
        fresh = _picker(self.kind)
        blocked = self.picker.blockSignals(True)
        model = fresh.model()
        model.setParent(self.picker)
        self.picker.setModel(model)
        self.picker.setCurrentIndex(self.picker.findData(self._shown))
        self.picker.blockSignals(blocked)
        fresh.deleteLater()
        if (
            self._shown in registry.names(self.kind)
            and registry.get(self.kind, self._shown).fields() != self.form.owner.fields()
        ):
            # A model was registered again under the same name, with other arguments.
            name, self._shown = self._shown, ""
            self._show(name)

    def set_locked(self, locked: bool, live: frozenset[str]) -> None:
        """Whether a run goes: then only the fields in ``live`` can be edited."""
        self.picker.setEnabled(not locked)
        self.reset_button.setEnabled(not locked)
        for name, editor in self.form.editors.items():
            editor.setEnabled(not locked or name in live)

    # --- picking ------------------------------------------------------------------------------------------------------------------

    def _picked(self) -> None:
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
        words = sentence(component)
        self.sentence.setText(words)
        self.picker.setToolTip(words)
        self.formula.set_lines(component.rule)

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
    """A combo box of all components of a kind, under their groups' headings."""
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
                item.setToolTip(sentence(component))
                model.appendRow(item)
    combo.setModel(model)
    return combo
