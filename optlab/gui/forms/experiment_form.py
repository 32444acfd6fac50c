"""The form of an entire experiment: one section for each kind of component, and the plain fields.

It holds what is typed and nothing else. Whether that is a valid experiment is for the panel around
it (:mod:`optlab.gui.panels.experiment_panel`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from optlab.experiment import Experiment
from optlab.experiment.schedules import SCHEDULES
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General, section_of
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.field_editor import FieldEditor
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.schedule_preview import SchedulePreview
from optlab.gui.forms.schedules_form import SchedulesForm
from optlab.gui.forms.section import Section, stacked
from optlab.gui.panels.data_preview import DataPreview
from optlab.gui.plain_text import PlainLabel, wrapped_label

_ALWAYS_BELOW = ("dataset", "model")
"""Sections below whose fields something stands at all times but during a search."""


class ExperimentForm(QScrollArea):
    """Sections below each other, each of which folds to one line.

    Attributes:
        components: kind → its form. plain: section → the form of its fields. general: the fields at
            the top of a file. schedules: numbers that follow a schedule. sections: key → the frame
            around its form.
        preview, parameters, loss_note, rate_preview: what stands below data, model, loss and
            schedule.

    Signals: ``edited(str)``: the section in which the user has edited something;
    ``fieldEdited(str)``: the dotted path of a component's field, before that; ``generalEdited(str)``:
    the name of a field at the top; ``pageRequested(str, str)``: kind and name of a page to open.
    """

    edited = Signal(str)
    fieldEdited = Signal(str)
    generalEdited = Signal(str)
    pageRequested = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("experimentScroll")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        # The fields in it scroll it, too: no stop of its own.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.components = {kind: ComponentForm(kind) for kind in SECTIONS}
        self.plain = {name: FieldsForm(owner, name) for name, owner in PLAIN_SECTIONS.items()}
        self.general = FieldsForm(General, "")
        self.rate_preview = SchedulePreview()
        self.schedules = SchedulesForm()
        self.preview = DataPreview()
        self.parameters = wrapped_label("muted")
        self.loss_note = wrapped_label("note")
        self.loss_note.hide()
        self.nothing = PlainLabel("No field or section has this text.")
        self.nothing.setProperty("role", "muted")
        self.nothing.hide()
        self.sections = self._build()
        self._connect()

    def _build(self) -> dict[str, Section]:
        column = QWidget()
        column.setObjectName("experimentColumn")
        layout = QVBoxLayout(column)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.nothing)
        sections: dict[str, Section] = {}
        self._below = below = {
            "dataset": self.preview,
            "model": self.parameters,
            "loss": self.loss_note,
            "schedule": self.rate_preview,
        }
        keys = (*SECTIONS, *PLAIN_SECTIONS)
        for name in sorted(keys, key=lambda key: section_of(key).form_order):
            form: QWidget = self.components[name] if name in self.components else self.plain[name]
            if name in below:
                form = stacked(form, below[name])
            sections[name] = Section(section_of(name).title, form, opened=section_of(name).opened)
            layout.addWidget(sections[name])
            if name == "schedule":
                sections[SCHEDULES] = Section("Other schedules", self.schedules, opened=False)
                layout.addWidget(sections[SCHEDULES])
        sections["general"] = Section(section_of("general").title, self.general, opened=False)
        layout.addWidget(sections["general"])
        layout.addStretch(1)
        self.setWidget(column)
        return sections

    def _connect(self) -> None:
        for kind, form in self.components.items():
            form.changed.connect(lambda kind=kind: self.edited.emit(kind))
            form.fieldEdited.connect(
                lambda name, kind=kind: self.fieldEdited.emit(f"{kind}.{name}")
            )
            form.pageRequested.connect(self.pageRequested)
        for name, plain in self.plain.items():
            plain.fieldEdited.connect(lambda _field, name=name: self.edited.emit(name))
        self.general.fieldEdited.connect(self.generalEdited)
        self.schedules.changed.connect(lambda: self.edited.emit(SCHEDULES))

    # --- values -----------------------------------------------------------------------------------

    def tables(self) -> dict[str, Any]:
        """Return the sections as in an experiment file, without title and instruments."""
        tables: dict[str, Any] = {kind: form.values() for kind, form in self.components.items()}
        tables |= {name: plain.values() for name, plain in self.plain.items()}
        tables |= self.schedules.table()
        return {**self.general.values(), **tables}

    def fill(self, experiment: Experiment) -> None:
        """Show an experiment without emitting a signal of an edit."""
        tables = experiment.to_dict()
        self.schedules.set_lines(tables.get(SCHEDULES, {}))
        for kind, form in self.components.items():
            form.set_values(tables[kind])
        for name, plain in self.plain.items():
            plain.set_values(tables[name])
        self.general.set_values({key: tables[key] for key in General.model_fields})
        self.loss_note.hide()

    def editors(self) -> dict[str, FieldEditor]:
        """Return the editor of each dotted path."""
        editors = dict(self.general.editors)
        for kind, form in self.components.items():
            editors |= {f"{kind}.{name}": editor for name, editor in form.form.editors.items()}
        for section, plain in self.plain.items():
            editors |= {f"{section}.{name}": editor for name, editor in plain.editors.items()}
        return editors

    def typed_errors(self) -> list[tuple[str, str]]:
        """Return path and message of each text that is no value."""
        return [
            *((path, one.error()) for path, one in self.editors().items() if one.error()),
            *self.schedules.errors().items(),
        ]

    def drop_typed_errors(self) -> bool:
        """Replace each text that is no value by the value before, and return whether there was one."""
        wrong = [editor for editor in self.editors().values() if editor.error()]
        for editor in wrong:
            editor.set_value(editor.value())
        return bool(wrong)

    def set_locked(self, locked: bool, live: Collection[str]) -> None:
        """Lock the form during a run: only the fields at the paths in ``live`` stay editable."""
        for kind, form in self.components.items():
            mine = frozenset(path.partition(".")[2] for path in live if path.startswith(f"{kind}."))
            form.set_locked(locked, mine)
        for plain in (*self.plain.values(), self.general, self.schedules):
            plain.setEnabled(not locked)

    # --- what is shown ----------------------------------------------------------------------------

    def label(self, kind: str) -> str:
        """Return the label of the selected component of a kind."""
        return self.components[kind].picker.currentText()

    def clear_problems(self) -> None:
        """Remove what a check of the entire experiment has said."""
        for editor in self.editors().values():
            editor.clear_experiment_error()
        for form in self.components.values():
            form.show_problem("")
        self.schedules.clear_problems()

    def show_problem(self, field: str, sentence: str) -> None:
        """Show what is wrong with the experiment beside the cause, a dotted path."""
        editors = self.editors()
        section = field.partition(".")[0]
        if field in editors:
            if not editors[field].error():
                editors[field].show_experiment_error(sentence)
        elif section == SCHEDULES and self.schedules.show_problem(field, sentence):
            self.sections[SCHEDULES].set_opened(True)
        elif section in self.components:
            self.components[section].show_problem(sentence)
            self.sections[section].set_opened(True)

    def summarize(self, experiment: Experiment | None) -> None:
        """Write the line to which each section folds; None for an experiment that is invalid."""
        for kind, form in self.components.items():
            self.sections[kind].set_summary(form.summary())
        self.sections[SCHEDULES].set_summary(self.schedules.summary())
        title = self.general.editors["title"].editor()
        assert isinstance(title, QLineEdit)
        title.setPlaceholderText(experiment.title() if experiment is not None else "")
        if experiment is None:
            return
        general = experiment.general
        self.sections["budget"].set_summary(experiment.budget.words())
        self.sections["general"].set_summary(
            f"seed {general.seed} · {general.device} · {general.precision}"
            + (" · compiled" if general.compiled else "")
        )

    def reveal(self, path: str) -> None:
        """Open the section of a dotted path, and scroll to its field."""
        editor = self.editors().get(path)
        section = path.partition(".")[0] if "." in path or path in self.sections else "general"
        frame = self.sections.get(section)
        if frame is not None:
            frame.set_opened(True)
            self.ensureWidgetVisible(editor if editor is not None else frame)

    def opened(self) -> list[str]:
        """Return the keys of the sections that are open."""
        return [key for key, section in self.sections.items() if section.opened]

    def set_opened(self, keys: Collection[str]) -> None:
        """Open these sections and close the others."""
        for key, section in self.sections.items():
            section.set_opened(key in keys)

    # --- searching --------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Show only the fields and sections that have all words of ``text``, in any case.

        A word is found at the beginning of a word of a label, name or symbol; where there is none,
        in the help of a field. A section whose own words are meant is shown with all its fields.
        Without text, sections are open and closed as before.
        """
        terms = text.casefold().split()
        found = self._found(terms, with_help=False) if terms else {}
        if terms and not found:
            found = self._found(terms, with_help=True)
        for key, section in self.sections.items():
            fields = found.get(key)
            self._show_fields(key, fields)
            section.show_result(key in found if terms else None)
        self.nothing.setVisible(bool(terms) and not found)
        if terms:
            self.verticalScrollBar().setValue(0)

    def _found(self, terms: Collection[str], *, with_help: bool) -> dict[str, list[str] | None]:
        """Return section → the fields that have all terms; None for a section that has them."""
        found: dict[str, list[str] | None] = {}
        for key in self.sections:
            own = self._words(key)
            if _has(terms, own):
                found[key] = None
                continue
            form = self._form(key)
            fields = form.form if isinstance(form, ComponentForm) else form
            if not isinstance(fields, FieldsForm):
                continue
            names = [
                name
                for name in fields.in_use()
                if _has(terms, f"{own} {_words_of(fields.editors[name], with_help=with_help)}")
            ]
            if names:
                found[key] = names
        return found

    def _form(self, key: str) -> QWidget:
        forms: Mapping[str, QWidget] = {
            **self.components,
            **self.plain,
            SCHEDULES: self.schedules,
            "general": self.general,
        }
        return forms[key]

    def _words(self, key: str) -> str:
        chosen = self.label(key) if key in self.components else ""
        return f"{key} {self.sections[key].title} {chosen}".casefold()

    def _show_fields(self, key: str, names: Collection[str] | None) -> None:
        form = self._form(key)
        if isinstance(form, ComponentForm | FieldsForm):
            form.show_only(names)
        if key in _ALWAYS_BELOW:
            self._below[key].setVisible(names is None)


def _has(terms: Collection[str], words: str) -> bool:
    return all(re.search(rf"(?<!\w){re.escape(term)}", words) for term in terms)


def _words_of(editor: FieldEditor, *, with_help: bool) -> str:
    field = editor.field
    words = f"{field.name.replace('_', ' ')} {field.name} {field.label} {field.symbol}"
    return f"{words} {field.help if with_help else ''}".casefold()
