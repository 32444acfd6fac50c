"""The experiment panel: the experiment as forms that are generated from the catalogue.

It always knows whether it shows a valid experiment; an error is shown below the field of its cause.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from PySide6.QtCore import QSize, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import INSTRUMENTS, instrument_of
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.fields import Field
from optlab.experiment import Experiment
from optlab.experiment.schedules import fields as schedule_fields
from optlab.gui.forms.experiment_form import ExperimentForm
from optlab.gui.forms.initializer_fit import InitializerFit
from optlab.gui.forms.live_strip import LiveStrip
from optlab.gui.forms.run_title import RunTitle
from optlab.gui.forms.schedule_preview import drawable
from optlab.gui.window_frame import EDITOR_SIZE
from optlab.tasks.checking import ExperimentCheck, check, refused
from optlab.tasks.preview import DatasetPreview

_TYPING_MILLISECONDS = 150
"""Delay after the last keystroke before data are loaded for the preview."""
_READING = "Reading your data or model…"
_UNREAD = "Your data or model are still being read; try again when they have been."


class ExperimentPanel(QWidget):
    """Edits an experiment: the live numbers and a search line, always in sight, above the form.

    Signals: ``experimentChanged(object)``: the experiment, or None while it is invalid;
    ``liveValueChanged(str, float)``: path and value of a field that was changed during a run;
    ``pageRequested(str, str)``: kind and name of a page to open; ``previewRequested(object)``: the
    dataset section to preview; ``checkRequested(object, bool)``: tables of an experiment with files
    or code of the user's own, and whether to fit the loss: :meth:`show_check` takes the result;
    ``instrumentRefused(str, str)``: name of an instrument that was switched off, and why.
    """

    experimentChanged = Signal(object)
    liveValueChanged = Signal(str, float)
    pageRequested = Signal(str, str)
    previewRequested = Signal(object)
    checkRequested = Signal(object, bool)
    instrumentRefused = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(180)
        self._locked = False
        self._instruments: dict[str, dict[str, Any]] = {}
        self._examples: int | None = None
        self._problem = ""
        self._experiment: Experiment | None = None
        self._previewed: dict[str, Any] | None = None
        self._checked: ExperimentCheck | None = None
        self._pending: dict[str, Any] | None = None
        self._fit_cause, self._loading = "", False
        self._saved: dict[str, Any] = {}
        self._saved_before: dict[str, Any] = {}
        self.opened_experiments = 0
        self.form = form = ExperimentForm()
        self.components, self.plain, self.general = form.components, form.plain, form.general
        self.schedules, self.sections, self.preview = form.schedules, form.sections, form.preview
        self.parameters, self.loss_note = form.parameters, form.loss_note
        self._editors = form.editors
        self._title = RunTitle(self.components)
        self._initializer_fit = InitializerFit(
            self.components["model"], self.components["initializer"]
        )
        self.strip = LiveStrip(self.components)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search fields and sections…")
        self.search.setAccessibleName("Search fields and sections")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(form.search)
        line = QHBoxLayout()
        line.setContentsMargins(12, 4, 12, 4)
        line.addWidget(self.search)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.strip)
        layout.addLayout(line)
        layout.addWidget(form, 1)
        self._typing_timer = QTimer(self, singleShot=True, interval=_TYPING_MILLISECONDS)
        self._typing_timer.timeout.connect(self.request_preview)
        form.edited.connect(self._edited)
        form.fieldEdited.connect(self._send_live_value)
        form.generalEdited.connect(self._general_edited)
        form.pageRequested.connect(self.pageRequested)

    def sizeHint(self) -> QSize:  # Qt's name
        return EDITOR_SIZE

    # --- the experiment ---------------------------------------------------------------------------

    def experiment(self, *, check: bool = True) -> Experiment:
        """Return the experiment that is shown.

        Args:
            check: whether its parts must fit each other, for example to be trained.

        Raises:
            InvalidInput: the text of a field is invalid.
            OptLabError: the fields make no valid experiment, or the check has not ended.
        """
        typed = self.form.typed_errors()
        if typed:
            path, sentence = typed[0]
            raise InvalidInput(sentence, path)
        experiment = Experiment.from_dict(self._tables(), check=False)
        if not check:
            return experiment
        if self._pending is not None:
            raise InvalidInput(_UNREAD)
        if self._problem:
            raise InvalidInput(self._problem, self._checked.field if self._checked else "")
        return experiment

    @property
    def pending(self) -> bool:
        """Whether the check of the experiment is in progress."""
        return self._pending is not None

    @property
    def checked(self) -> ExperimentCheck | None:
        """The last completed check, or None before the first one."""
        return self._checked

    def set_experiment(self, experiment: Experiment) -> None:
        """Show an experiment, which need not be checked."""
        self._saved_before = self._saved
        self.opened_experiments += 1
        self._fill(experiment)
        self._title.set(experiment.general.title, typed=False)
        self.mark_saved()
        self._loading = experiment.reads_outside()
        self._check("dataset" if self._loading else "")

    def show_tables(self, tables: dict[str, Any], saved: dict[str, Any]) -> None:
        """Show an experiment that was edited before, as it was then.

        Args:
            tables: sections as in an experiment file, unchecked. saved: those that :attr:`edited`
                compares with from now on.

        Raises:
            OptLabError: the tables make no experiment.
        """
        experiment = Experiment.from_dict(tables, check=False)
        self._fill(experiment)
        if experiment.general.title:
            self._title.set(experiment.general.title, typed=False)
        else:
            self._title.set_former(saved.get("title", ""), saved)
        self._saved = saved
        self.check()

    def tables(self) -> dict[str, Any]:
        """Return what is shown, as in an experiment file; the last valid value of each field."""
        return self._tables()

    def saved(self) -> dict[str, Any]:
        """Return the tables that :attr:`edited` compares with."""
        return self._saved

    def saved_before_opening(self) -> dict[str, Any]:
        """Return what :meth:`saved` was before the experiment was opened that is shown."""
        return self._saved_before

    def check(self) -> None:
        """Check what is shown again."""
        self._check()

    def mark_saved(self) -> None:
        """Take the current experiment as saved: :attr:`edited` compares with it from now on."""
        self._saved = self._tables()

    @property
    def edited(self) -> bool:
        """Whether the panel differs from the experiment that was shown or saved last."""
        return bool(self.form.typed_errors()) or self._tables() != self._saved

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply changes (dotted path → value) together, as if they were typed.

        Raises:
            OptLabError: the experiment is invalid, or would be; nothing is changed then.
        """
        experiment = self.experiment()
        fits = any(path.startswith(("dataset.", "model.")) for path in changes)
        self._fill(experiment.with_values(changes, check=not experiment.reads_outside()))
        self._check("dataset" if fits and "loss.name" not in changes else "")

    def _fill(self, experiment: Experiment) -> None:
        self._initializer_fit.accept(experiment.model.name)
        self._instruments = experiment.to_dict().get(INSTRUMENTS, {})
        self.form.fill(experiment)
        self._data_changed()

    def name(self) -> str:
        """Return the name of the experiment in one line; "" while it is invalid."""
        return self._experiment.title() if self._experiment is not None else ""

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
            why it cannot be switched on, or "". Where only the user's data or model show this, it
            comes later, by ``instrumentRefused``.
        """
        before = self._instruments
        self._instruments = {key: table for key, table in before.items() if key != name}
        if values is not None:
            self._instruments[name] = values
            try:
                experiment = Experiment.from_dict(self._tables(), check=False)
                if not experiment.reads_outside():
                    experiment.check()
            except OptLabError as error:
                if instrument_of(error.field if isinstance(error, InvalidInput) else ""):
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
        self.search.clear()
        self.form.reveal(kind)

    def set_locked(self, locked: bool) -> None:
        """Lock the panel during a run: only live fields stay editable."""
        self._locked = locked
        live = self._experiment.live_fields() if self._experiment is not None else {}
        self.form.set_locked(locked, set(live))

    @property
    def locked(self) -> bool:
        """Whether only live fields can be edited, because a run is in progress."""
        return self._locked

    def is_live(self, paths: Collection[str]) -> bool:
        """Return whether all fields at these paths can be changed during a run."""
        return self._experiment is not None and set(paths) <= set(self._experiment.live_fields())

    def change_live(self, values: Mapping[str, float]) -> None:
        """Change fields of the run in progress (dotted path → value), as if they were typed."""
        for path, value in values.items():
            self._editors()[path].set_value(value)
            self.liveValueChanged.emit(path, float(value))
        self._check()

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
            self._examples = preview.counts.get("training")
            self._draw_schedules()

    def show_preview_problem(self, sentence: str) -> None:
        """Show why the data cannot be loaded, unless other data have been selected since."""
        if self._previewed == self.components["dataset"].values():
            self.preview.show_problem(sentence)

    # --- editing ----------------------------------------------------------------------------------

    def _edited(self, section: str) -> None:
        if section in self.components:
            self.schedules.drop_unknown(section, self.components[section].form.editors)
        if section == "model":
            self._initializer_fit.fit(self._tables())
        elif section == "loss":
            self.loss_note.hide()
        elif section == "dataset":
            self._data_changed()
        self._check(section if section in ("dataset", "model") else "")

    def _general_edited(self, name: str) -> None:
        if name == "title":
            self._title.set(self.general.editors["title"].value(), typed=True)
        self._edited("general")

    def _data_changed(self) -> None:
        """Remove the preview of other data at once, and request the new one when typing pauses."""
        if self.components["dataset"].values() != self._previewed:
            self.preview.show_loading()
            self._examples = None
        self._typing_timer.start()

    def _send_live_value(self, path: str) -> None:
        kind, _, name = path.partition(".")
        editor = self.components[kind].form.editors[name]
        if self._locked and not editor.error() and isinstance(editor.value(), int | float):
            self.liveValueChanged.emit(path, float(editor.value()))

    def _check(self, fit_cause: str = "") -> None:
        """Check the experiment, and show errors and everything that depends on it.

        Args:
            fit_cause: ``dataset`` or ``model`` where one has changed, so that another loss is
                selected if the learning task needs one.
        """
        if fit_cause or self._pending is None:
            self._fit_cause = fit_cause
        self._pending = None
        title = self._editors()["title"]
        if not title.error() and title.value() != self._title.valid():
            title.set_value(self._title.valid())
        tables = self._tables()
        try:
            experiment = self.experiment(check=False)
        except OptLabError as error:
            self._conclude(refused(tables, error))
            return
        if not experiment.reads_outside():
            self._conclude(check(tables, fit_loss=bool(self._fit_cause)))
            return
        self._pending = tables
        if self._knows(tables):
            self._show_checked(experiment, self._checked)
        else:
            self._show_checked(None, None)
        self.checkRequested.emit(tables, bool(self._fit_cause))

    def show_check(self, result: ExperimentCheck) -> None:
        """Show the result of a requested check, unless the experiment has been edited since."""
        if self._pending is not None and result.tables == self._pending:
            self._conclude(result)

    def show_check_problem(self, sentence: str) -> None:
        """Show why the requested check failed."""
        if self._pending is not None:
            self._conclude(refused(self._pending, OptLabError(sentence)))

    def _knows(self, tables: Mapping[str, Any]) -> bool:
        """Return whether the last check found no problem with the same data and model."""
        return (
            self._checked is not None
            and not self._checked.problem
            and all(self._checked.tables[kind] == tables[kind] for kind in ("dataset", "model"))
        )

    def _conclude(self, result: ExperimentCheck) -> None:
        self._pending = None
        if result.loss != result.tables["loss"]:
            self._select_loss(result.loss)
        self._fit_cause, self._loading = "", False
        self._checked = result
        instrument = instrument_of(result.field)
        if instrument in self._instruments:
            del self._instruments[instrument]
            self.instrumentRefused.emit(instrument, result.problem)
            self._check()
            return
        experiment = None if result.problem else self.experiment(check=False)
        self._show_checked(experiment, result)

    def _select_loss(self, loss: Mapping[str, Any]) -> None:
        """Select the loss that the learning task needs, and show a note."""
        self.components["loss"].set_values(dict(loss))
        cause = "this model" if self._fit_cause == "model" else "this data"
        self.loss_note.setText(
            f"The loss is now {self.form.label('loss')}, because the previous one does not suit {cause}."
        )
        self.loss_note.show()
        self.sections["loss"].set_opened(True)
        if self._loading:
            self.mark_saved()

    def _show_checked(self, experiment: Experiment | None, result: ExperimentCheck | None) -> None:
        """Show an experiment with the result of its check.

        Args:
            experiment: None while it is invalid or being read.
            result: None while it is being read.
        """
        self.form.clear_problems()
        self._experiment = experiment
        self._problem = "" if experiment else result.problem if result else _READING
        self.form.show_problem(result.field if result and not experiment else "", self._problem)
        self.form.summarize(experiment)
        if experiment is None or result is None:
            self.parameters.setText(self._problem)
        else:
            tensors = " · ".join(result.tensors)
            self.parameters.setText(f"{result.parameters:,} parameters: {tensors}")
        self._draw_schedules()
        self.experimentChanged.emit(self._experiment)

    def _draw_schedules(self) -> None:
        if self._experiment is not None:
            self.schedules.set_fields(schedule_fields(self._experiment))
        rate, others = drawable(self._experiment, self._examples)
        self.form.rate_preview.show_curves(rate)
        self.schedules.preview.show_curves(others)

    def _tables(self) -> dict[str, Any]:
        tables = {**self.form.tables(), "title": self._title.valid()}
        if self._instruments:
            tables[INSTRUMENTS] = self._instruments
        return tables
