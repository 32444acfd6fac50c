"""The experiment panel: the experiment as forms that are generated from the catalogue.

The panel always knows whether it shows a valid experiment; an error is shown below the field that
causes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSize, QTimer, Signal
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.fields import Field
from optlab.experiment import Experiment, suited_initializer, suited_loss
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General, section_of
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.field_editor import FieldEditor
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.section import Section
from optlab.gui.panels.data_preview import DataPreview
from optlab.tasks.preview import DatasetPreview

_TYPING_MILLISECONDS = 150
"""Delay after the last keystroke before data are loaded for the preview."""


class ExperimentPanel(QScrollArea):
    """Edits an experiment.

    Signals: ``experimentChanged(object)``: the experiment, or None while it is invalid;
    ``liveValueChanged(str, float)``: path and value of a field that was changed during a run;
    ``pageRequested(str, str)``: kind and name of a page to open; ``previewRequested(object)``: the
    dataset section to preview.
    """

    experimentChanged = Signal(object)
    liveValueChanged = Signal(str, float)
    pageRequested = Signal(str, str)
    previewRequested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("experimentScroll")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMinimumWidth(180)
        self._locked = False
        self._instruments: dict[str, dict[str, Any]] = {}
        self._problem = ""
        self._experiment: Experiment | None = None
        self._previewed: dict[str, Any] | None = None
        self._title, self._title_typed = "", False
        self._titled: dict[str, Any] = {}
        self._initialized_model = ""
        self._saved: dict[str, Any] = {}
        self.components = {kind: ComponentForm(kind) for kind in SECTIONS}
        self.plain = {name: FieldsForm(owner, name) for name, owner in PLAIN_SECTIONS.items()}
        self.general = FieldsForm(General, "")
        self.preview = DataPreview()
        self.parameters = QLabel("")
        self.parameters.setProperty("role", "muted")
        self.parameters.setWordWrap(True)
        self.loss_note = QLabel("")
        self.loss_note.setProperty("role", "note")
        self.loss_note.setWordWrap(True)
        self.loss_note.hide()
        self.sections = self._build()
        self._typing_timer = QTimer(self)
        self._typing_timer.setSingleShot(True)
        self._typing_timer.setInterval(_TYPING_MILLISECONDS)
        self._typing_timer.timeout.connect(self.request_preview)
        self._connect()

    def sizeHint(self) -> QSize:  # Qt's name
        return QSize(440, 800)

    # --- building ---------------------------------------------------------------------------------

    def _build(self) -> dict[str, Section]:
        column = QWidget()
        column.setObjectName("experimentColumn")
        layout = QVBoxLayout(column)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        sections: dict[str, Section] = {}
        for name in sorted(
            (*SECTIONS, *PLAIN_SECTIONS), key=lambda key: section_of(key).form_order
        ):
            form: QWidget = self.components[name] if name in self.components else self.plain[name]
            if name == "dataset":
                form = _stacked(form, self.preview)
            elif name == "model":
                form = _stacked(form, self.parameters)
            elif name == "loss":
                form = _stacked(form, self.loss_note)
            sections[name] = Section(section_of(name).title, form, opened=section_of(name).opened)
            layout.addWidget(sections[name])
        sections["general"] = Section(section_of("general").title, self.general, opened=False)
        layout.addWidget(sections["general"])
        layout.addStretch(1)
        self.setWidget(column)
        return sections

    def _connect(self) -> None:
        for kind, form in self.components.items():
            form.changed.connect(lambda kind=kind: self._edited(kind))
            form.fieldEdited.connect(
                lambda name, kind=kind: self._send_live_value(f"{kind}.{name}")
            )
            form.pageRequested.connect(self.pageRequested)
        for name, plain in self.plain.items():
            plain.fieldEdited.connect(lambda _field, name=name: self._edited(name))
        self.general.fieldEdited.connect(self._general_edited)

    # --- the experiment ---------------------------------------------------------------------------

    def experiment(self) -> Experiment:
        """Return the experiment that is shown.

        Raises:
            InvalidInput: the text of a field is invalid.
            OptLabError: the fields make no valid experiment.
        """
        typed = self._typed_errors()
        if typed:
            path, sentence = typed[0]
            raise InvalidInput(sentence, path)
        return Experiment.from_dict(self._tables())

    def set_experiment(self, experiment: Experiment) -> None:
        """Show an experiment."""
        self._fill(experiment)
        self._title, self._title_typed = experiment.general.title, False
        self._titled = self._subject()
        self.mark_saved()
        self._check()

    def mark_saved(self) -> None:
        """Take the current experiment as saved: :attr:`edited` compares with it from now on."""
        self._saved = self._tables()

    @property
    def edited(self) -> bool:
        """Whether the panel differs from the experiment that was shown or saved last."""
        return bool(self._typed_errors()) or self._tables() != self._saved

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply changes (dotted path → value) together, as if they were typed.

        Raises:
            OptLabError: the experiment is invalid, or would be; nothing is changed then.
        """
        self._fill(self.experiment().with_values(changes))
        self._check()

    def _fill(self, experiment: Experiment) -> None:
        tables = experiment.to_dict()
        self._initialized_model = experiment.model.name
        self._instruments = tables.get(INSTRUMENTS, {})
        for kind, form in self.components.items():
            form.set_values(tables[kind])
        for name, plain in self.plain.items():
            plain.set_values(tables[name])
        self.general.set_values({key: tables[key] for key in General.model_fields})
        self.loss_note.hide()
        self._data_changed()

    def problem(self) -> str:
        """Return why the experiment is invalid, or ""."""
        return self._problem

    def chosen(self, kind: str) -> str:
        """Return the name of the selected component of a kind."""
        return self.components[kind].name()

    def set_section(self, kind: str, section: dict[str, Any]) -> None:
        """Fill a section as if it were typed, and open it."""
        self.components[kind].set_values(section)
        self.sections[kind].set_opened(True)
        self._edited(kind)

    def instruments(self) -> dict[str, dict[str, Any]]:
        """Return the fields of each instrument that is on."""
        return dict(self._instruments)

    def set_instrument(self, name: str, values: dict[str, Any] | None) -> str:
        """Switch an instrument on with these fields, or off with None.

        Returns:
            why it cannot be switched on, or "".
        """
        before = self._instruments
        self._instruments = {key: table for key, table in before.items() if key != name}
        if values is not None:
            self._instruments[name] = values
            try:
                Experiment.from_dict(self._tables())
            except OptLabError as error:
                if _field_of(error).startswith(f"{INSTRUMENTS}."):
                    self._instruments = before
                    return str(error)
        self._check()
        return ""

    def pick(self, kind: str, name: str) -> None:
        """Select a component, as if it were selected in its section, and open the section."""
        form = self.components[kind]
        if form.picker.findData(name) < 0:
            form.refresh_choices()
        if form.name() == name:
            self._edited(kind)
        form.picker.setCurrentIndex(form.picker.findData(name))
        self.sections[kind].set_opened(True)
        self.ensureWidgetVisible(self.sections[kind])

    def set_locked(self, locked: bool) -> None:
        """Lock the panel during a run: only live fields stay editable."""
        self._locked = locked
        live = set(self._experiment.live_fields()) if self._experiment is not None else set()
        for kind, form in self.components.items():
            mine = frozenset(path.partition(".")[2] for path in live if path.startswith(f"{kind}."))
            form.set_locked(locked, mine)
        for plain in (*self.plain.values(), self.general):
            plain.setEnabled(not locked)

    def set_live_value(self, path: str, value: float) -> None:
        """Show a value that was applied to the run."""
        kind, _, name = path.partition(".")
        self.components[kind].form.editors[name].set_value(value)
        self._check()

    def field(self, path: str) -> Field:
        """Return the field at a dotted path.

        Raises:
            KeyError: no selected component has this field.
        """
        return self._editors()[path].field

    def request_preview(self) -> None:
        """Request the preview of the selected data."""
        form = self.components["dataset"]
        if form.errors():
            self._previewed = None
            self.preview.show_problem(next(iter(form.errors().values())))
            return
        if form.values() != self._previewed:
            self.preview.show_loading()
        self._previewed = form.values()
        self.previewRequested.emit(form.values())

    def show_preview(self, preview: DatasetPreview) -> None:
        """Show the requested preview, unless other data have been selected since."""
        if self._previewed == self.components["dataset"].values():
            self.preview.show_preview(preview)

    def show_preview_problem(self, sentence: str) -> None:
        """Show why the data cannot be loaded, unless other data have been selected since."""
        if self._previewed == self.components["dataset"].values():
            self.preview.show_problem(sentence)

    # --- editing ----------------------------------------------------------------------------------

    def _edited(self, section: str) -> None:
        if section in ("dataset", "model"):
            self._fit_loss(section)
            if section == "model":
                self._fit_initializer()
        elif section == "loss":
            self.loss_note.hide()
        if section == "dataset":
            self._data_changed()
        self._check()

    def _general_edited(self, name: str) -> None:
        if name == "title":
            self._title, self._title_typed = self.general.editors["title"].value(), True
            self._titled = self._subject()
        self._edited("general")

    def _data_changed(self) -> None:
        """Remove the preview of other data at once, and request the new one when typing pauses."""
        if self.components["dataset"].values() != self._previewed:
            self.preview.show_loading()
        self._typing_timer.start()

    def _fit_loss(self, section: str) -> None:
        """Select another loss if the learning task needs one, and show a note."""
        if self.components["dataset"].errors() or self.components["model"].errors():
            return
        try:
            fitted = suited_loss(self._tables())
        except OptLabError:
            # The task cannot be determined yet; the check that follows shows why.
            return
        if fitted["name"] != self.chosen("loss"):
            self.components["loss"].set_values(fitted)
            cause = "this model" if section == "model" else "this data"
            self.loss_note.setText(
                f"The loss is now {self._label('loss')}, because the previous one does not suit "
                f"{cause}."
            )
            self.loss_note.show()
            self.sections["loss"].set_opened(True)

    def _fit_initializer(self) -> None:
        """Select the initializer that suits another model; the check shows what is wrong else."""
        if self.components["model"].errors() or self.components["initializer"].errors():
            return
        model = self.chosen("model")
        if model == self._initialized_model:
            return
        self._initialized_model = model
        try:
            fitted = suited_initializer(self._tables())
        except OptLabError:
            return
        if fitted["name"] != self.chosen("initializer"):
            self.components["initializer"].set_values(fitted)

    def _send_live_value(self, path: str) -> None:
        kind, _, name = path.partition(".")
        editor = self.components[kind].form.editors[name]
        if self._locked and not editor.error() and isinstance(editor.value(), int | float):
            self.liveValueChanged.emit(path, float(editor.value()))

    def _check(self) -> None:
        """Check the experiment, and show errors and everything that depends on it."""
        editors = self._editors()
        if not editors["title"].error() and editors["title"].value() != self._valid_title():
            editors["title"].set_value(self._valid_title())
        for editor in editors.values():
            editor.clear_experiment_error()
        for form in self.components.values():
            form.show_problem("")
        try:
            self._experiment = self.experiment()
            self._problem = ""
        except OptLabError as error:
            self._experiment, self._problem = None, str(error)
            field = _field_of(error)
            section = field.partition(".")[0]
            if field in editors:
                if not editors[field].error():
                    editors[field].show_experiment_error(str(error))
            elif section in self.components:
                self.components[section].show_problem(str(error))
                self.sections[section].set_opened(True)
        self._summarize()
        self.experimentChanged.emit(self._experiment)

    def _summarize(self) -> None:
        for kind, form in self.components.items():
            self.sections[kind].set_summary(form.picker.currentText())
        experiment = self._experiment
        title = self.general.editors["title"].editor()
        assert isinstance(title, QLineEdit)
        title.setPlaceholderText(experiment.title() if experiment is not None else "")
        if experiment is None:
            self.parameters.setText(self._problem)
            return
        self.sections["budget"].set_summary(f"{experiment.budget.steps:,} steps")
        general = experiment.general
        self.sections["general"].set_summary(
            f"seed {general.seed} · {general.device} · {general.precision}"
        )
        self.sections["batches"].set_summary(
            f"{self._label('batches')} · {experiment.batches.size or 'all'}"
        )
        layout = experiment.layout()
        tensors = " · ".join(
            f"{spec.name} {'×'.join(map(str, spec.shape))}"
            for spec in layout.parameters
            if spec.role == "weight"
        )
        self.parameters.setText(f"{layout.total:,} parameters: {tensors}")

    def _label(self, kind: str) -> str:
        return self.components[kind].picker.currentText()

    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = {kind: form.values() for kind, form in self.components.items()}
        tables |= {name: plain.values() for name, plain in self.plain.items()}
        if self._instruments:
            tables[INSTRUMENTS] = self._instruments
        return {**self.general.values(), "title": self._valid_title(), **tables}

    def _valid_title(self) -> str:
        """Return the title while it applies, else "" to name the run after its components."""
        return self._title if self._titled == self._subject() else ""

    def _subject(self) -> dict[str, Any]:
        """Return what the title describes.

        A title from a file may refer to any field of any component, a typed title to data, model
        and optimizer.
        """
        if not self._title_typed:
            return {kind: form.values() for kind, form in self.components.items()}
        data = self.components["dataset"].form
        files = {
            field.name: data.editors[field.name].value()
            for field in data.owner.fields()
            if field.kind == "text"
        }
        return {
            "files": files,
            **{kind: self.chosen(kind) for kind in ("dataset", "model", "optimizer")},
        }

    def _editors(self) -> dict[str, FieldEditor]:
        """Return the editor of each dotted path."""
        editors = dict(self.general.editors)
        for kind, form in self.components.items():
            editors |= {f"{kind}.{name}": editor for name, editor in form.form.editors.items()}
        for section, plain in self.plain.items():
            editors |= {f"{section}.{name}": editor for name, editor in plain.editors.items()}
        return editors

    def _typed_errors(self) -> list[tuple[str, str]]:
        return [
            (path, editor.error()) for path, editor in self._editors().items() if editor.error()
        ]


def _field_of(error: OptLabError) -> str:
    """Return the dotted path of the field that an error names, or ""."""
    return error.field if isinstance(error, InvalidInput) else ""


def _stacked(*widgets: QWidget) -> QWidget:
    """Return a widget with these widgets below each other."""
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    return column
