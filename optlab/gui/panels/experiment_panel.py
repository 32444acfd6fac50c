"""The experiment panel: the whole experiment as forms, derived from the catalogue.

The panel always knows whether what it shows is a valid experiment; what is wrong is said beneath
the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.fields import Field
from optlab.experiment import Experiment, suited_loss
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General, section_of
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.field_editor import FieldEditor
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.section import Section
from optlab.gui.panels.data_preview import DataPreview
from optlab.tasks.preview import DatasetPreview

_SETTLE_MILLISECONDS = 150
"""How long typing has to rest before data are loaded for the preview."""


class ExperimentPanel(QScrollArea):
    """Edits one experiment.

    Signals:
        experimentChanged: the experiment, or None while it is invalid. liveValueChanged: path and
            value of a field that was changed while a run goes.
        pageRequested: kind and name. previewRequested: the dataset section whose preview is wanted.
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
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(380)
        self._locked = False
        self._instruments: dict[str, dict[str, Any]] = {}
        self._problem = ""
        self._experiment: Experiment | None = None
        self._previewed: dict[str, Any] | None = None
        self._title, self._title_typed = "", False
        self._titled: dict[str, Any] = {}
        self.components = {kind: ComponentForm(kind) for kind in SECTIONS}
        self.plain = {name: FieldsForm(owner, name) for name, owner in PLAIN_SECTIONS.items()}
        self.general = FieldsForm(General, "")
        self.preview = DataPreview()
        self.parameters = QLabel("")
        self.parameters.setProperty("role", "muted")
        self.parameters.setWordWrap(True)
        self.note = QLabel("")
        self.note.setProperty("role", "note")
        self.note.setWordWrap(True)
        self.note.hide()
        self.sections = self._build()
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLE_MILLISECONDS)
        self._settling.timeout.connect(self.request_preview)
        self._connect()

    def sizeHint(self) -> QSize:  # Qt's name
        return QSize(440, 800)

    # --- building -----------------------------------------------------------------------------------------------------------------

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
                form = _stacked(form, self.note)
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
            form.fieldEdited.connect(lambda name, kind=kind: self._tell_live(f"{kind}.{name}"))
            form.pageRequested.connect(self.pageRequested)
        for name, plain in self.plain.items():
            plain.fieldEdited.connect(lambda _field, name=name: self._edited(name))
        self.general.fieldEdited.connect(self._general_edited)

    # --- what the window asks -----------------------------------------------------------------------------------------------------

    def experiment(self) -> Experiment:
        """The experiment that is shown.

        Raises:
            OptLabError: it is none; the sentence stands beside the field, too.
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
        self._check()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply changes (dotted path → value) together, as if they were typed.

        Raises:
            OptLabError: what is shown is no experiment, or would be none; nothing is changed then.
        """
        self._fill(self.experiment().with_values(changes))
        self._check()

    def _fill(self, experiment: Experiment) -> None:
        tables = experiment.to_dict()
        self._instruments = tables.get(INSTRUMENTS, {})
        for kind, form in self.components.items():
            form.set_values(tables[kind])
        for name, plain in self.plain.items():
            plain.set_values(tables[name])
        self.general.set_values({key: tables[key] for key in General.model_fields})
        self.note.hide()
        self._data_changed()

    def problem(self) -> str:
        """Why what is shown is no experiment, or ""."""
        return self._problem

    def chosen(self, kind: str) -> str:
        """Name of the component that is picked."""
        return self.components[kind].name()

    def set_section(self, kind: str, section: dict[str, Any]) -> None:
        """Fill a section as if it were typed, and open it."""
        self.components[kind].set_values(section)
        self.sections[kind].set_opened(True)
        self._edited(kind)

    def instruments(self) -> dict[str, dict[str, Any]]:
        """Which instruments are on, with their fields."""
        return dict(self._instruments)

    def set_instrument(self, name: str, values: dict[str, Any] | None) -> str:
        """Switch an instrument of the experiment on with these fields, or off (None); why it cannot
        be, in words, or "".
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
        """Pick a component, as if it were picked from its section's list, and open the section."""
        form = self.components[kind]
        if form.picker.findData(name) < 0:
            form.refresh_choices()
        if form.name() == name:
            self._edited(kind)
        form.picker.setCurrentIndex(form.picker.findData(name))
        self.sections[kind].set_opened(True)
        self.ensureWidgetVisible(self.sections[kind])

    def set_locked(self, locked: bool) -> None:
        """Whether a run goes: then only fields that a running session can change are open."""
        self._locked = locked
        live = set(self._experiment.live_fields()) if self._experiment is not None else set()
        for kind, form in self.components.items():
            mine = frozenset(path.partition(".")[2] for path in live if path.startswith(f"{kind}."))
            form.set_locked(locked, mine)
        for plain in (*self.plain.values(), self.general):
            plain.setEnabled(not locked)

    def set_live_value(self, path: str, value: float) -> None:
        """Show a value that the run has taken."""
        kind, _, name = path.partition(".")
        self.components[kind].form.editors[name].set_value(value)
        self._check()

    def field(self, path: str) -> Field:
        """The field at a path.

        Raises:
            KeyError: there is none among what is picked.
        """
        return self._editors()[path].field

    def request_preview(self) -> None:
        """Ask for the preview of the data that are picked."""
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
        """Show the preview that was asked for last, unless other data have been picked since."""
        if self._previewed == self.components["dataset"].values():
            self.preview.show_preview(preview)

    def show_preview_problem(self, sentence: str) -> None:
        """Say why the data that were asked for last cannot be loaded, unless other data have been
        picked since.
        """
        if self._previewed == self.components["dataset"].values():
            self.preview.show_problem(sentence)

    # --- editing ------------------------------------------------------------------------------------------------------------------

    def _edited(self, section: str) -> None:
        if section in ("dataset", "model"):
            self._fit_loss(section)
        elif section == "loss":
            self.note.hide()
        if section == "dataset":
            self._data_changed()
        self._check()

    def _general_edited(self, name: str) -> None:
        if name == "title":
            self._title, self._title_typed = self.general.editors["title"].value(), True
            self._titled = self._subject()
        self._edited("general")

    def _data_changed(self) -> None:
        """Take away the preview of other data at once; that of these data is asked for when typing
        rests.
        """
        if self.components["dataset"].values() != self._previewed:
            self.preview.show_loading()
        self._settling.start()

    def _fit_loss(self, section: str) -> None:
        """Pick another loss where the task needs one, and say so."""
        if self.components["dataset"].errors() or self.components["model"].errors():
            return
        try:
            fitted = suited_loss(self._tables())
        except OptLabError:
            # Which task it is cannot be known yet; the check that follows says why, beside the
            # field.
            return
        if fitted["name"] != self.chosen("loss"):
            self.components["loss"].set_values(fitted)
            cause = "this model" if section == "model" else "this data"
            self.note.setText(
                f"The loss is now {self._label('loss')}, because the other one does not suit {cause}."
            )
            self.note.show()
            self.sections["loss"].set_opened(True)

    def _tell_live(self, path: str) -> None:
        kind, _, name = path.partition(".")
        editor = self.components[kind].form.editors[name]
        if self._locked and not editor.error() and isinstance(editor.value(), int | float):
            self.liveValueChanged.emit(path, float(editor.value()))

    def _check(self) -> None:
        """Learn whether this is an experiment now, and show what follows from it."""
        editors = self._editors()
        if not editors["title"].error() and editors["title"].value() != self._held_title():
            editors["title"].set_value(self._held_title())
        for editor in editors.values():
            editor.forget_outside()
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
                    editors[field].show_outside(str(error))
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
        self.sections["general"].set_summary(
            f"seed {experiment.general.seed} · {experiment.general.device} · {experiment.general.precision}"
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
        return {**self.general.values(), "title": self._held_title(), **tables}

    def _held_title(self) -> str:
        """Return the title while it is true, else ""; the run is then named after what is trained."""
        return self._title if self._titled == self._subject() else ""

    def _subject(self) -> dict[str, Any]:
        """Return what the title speaks of: of one from a file that may be any component's field, of
        one that was typed data, model and optimizer.
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
        """Dotted path → editor."""
        found = dict(self.general.editors)
        for kind, form in self.components.items():
            found |= {f"{kind}.{name}": editor for name, editor in form.form.editors.items()}
        for section, plain in self.plain.items():
            found |= {f"{section}.{name}": editor for name, editor in plain.editors.items()}
        return found

    def _typed_errors(self) -> list[tuple[str, str]]:
        return [
            (path, editor.error()) for path, editor in self._editors().items() if editor.error()
        ]


def _field_of(error: OptLabError) -> str:
    """Return the dotted path of the field that an error is about, or ""."""
    return error.field if isinstance(error, InvalidInput) else ""


def _stacked(*widgets: QWidget) -> QWidget:
    """Widgets beneath each other."""
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    return column
