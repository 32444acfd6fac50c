"""The editor of a study: arms, seeds, tuning, measure and decision, and the file that they make.

It opens on the experiment of the main window with one contender beside it. The file is written and
checked in the background while the user types, and what it will decide is said in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.experiment.settings import flat
from optlab.gui.bridge import TaskBridge
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.section import Section
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import PlainLabel, wrapped_label
from optlab.gui.studies.arm_rows import ArmRows, Source
from optlab.gui.studies.draft_sections import DecideSection, MeasureSection, TuneSection
from optlab.gui.studies.study_page import FileView
from optlab.runners.conducting import CheckDraftTask, CheckedDraft
from optlab.studies.comparison.fields import Seeds
from optlab.tasks.stored_runs import RunList, RunListTask
from optlab.tasks.study_draft import Draft
from optlab.tasks.study_files import WriteStudyTask

_PAUSE_MILLISECONDS = 200
_MAX_RUNS = 200
"""Stored runs that are offered as a base."""


class StudyEditor(QDialog):
    """Edits a study that is to be written.

    Args:
        document: the experiment that arms change, as TOML. text: what the list calls it.
        presets: names of the presets that can take its place. arms: name → changes, at first.

    Signals: ``written(object, bool)``: path of the file, and whether it is to be run.
    """

    written = Signal(object, bool)

    def __init__(
        self,
        document: str,
        text: str,
        presets: Sequence[str],
        arms: Mapping[str, Mapping[str, Any]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Contenders – OptLab")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        resize_to_screen(self, 1180, 720)
        self.checking, self.listing, self.writing = (TaskBridge(None, self) for _ in range(3))
        self.checked: CheckedDraft | None = None
        self._current: Draft | None = None
        self._run_it = False
        self._sources = [
            Source(text, document=document),
            *(Source(f"preset {name}", name) for name in presets),
        ]
        self.question, self.base = QLineEdit(), QComboBox()
        self.arms, self.seeds = ArmRows(), FieldsForm(Seeds, "seeds")
        self.tune, self.measure, self.decide = TuneSection(), MeasureSection(), DecideSection()
        self.problem, self.sentence = wrapped_label("problem"), PlainLabel("")
        self.file = FileView()
        self.save_button, self.run_button = QPushButton("Save as…"), QPushButton("Save and run")
        self._pause = QTimer(self, singleShot=True)
        self._pause.setInterval(_PAUSE_MILLISECONDS)
        self._pause.timeout.connect(self._check)
        self._build()
        self.arms.set_arms(arms)
        self.seeds.set_values({"count": 8})
        self.question.setText(_question(list(arms), text))
        self._offer_sources()
        self._connect()
        self.listing.ask(RunListTask())
        self._edited()

    # --- building ---------------------------------------------------------------------------------

    def _build(self) -> None:
        self.question.setAccessibleName("What is asked")
        self.question.setPlaceholderText("What is asked, in your words")
        self.base.setAccessibleName("What the arms change")
        self.base.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        arms = QWidget()
        stack = QVBoxLayout(arms)
        stack.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(PlainLabel("Base"))
        row.addWidget(self.base, 1)
        stack.addLayout(row)
        stack.addWidget(self.arms)
        column = QWidget()
        column.setObjectName("experimentColumn")
        sections = QVBoxLayout(column)
        sections.setContentsMargins(0, 0, 6, 0)
        sections.setSpacing(8)
        sections.addWidget(self.question)
        for title, widget, opened in (
            ("Arms", arms, True),
            ("Measure", self.measure, True),
            ("Decision", self.decide, True),
            ("Seeds", self.seeds, True),
            ("Tuning", self.tune, True),
        ):
            sections.addWidget(Section(title, widget, opened=opened))
        sections.addStretch(1)
        self.sentence.setWordWrap(True)
        self.sentence.setAccessibleName("What the study decides")
        self.run_button.setObjectName("primary")
        for button in (self.save_button, self.run_button):
            button.setAutoDefault(False)
        close = QPushButton("Close")
        close.setAutoDefault(False)
        close.clicked.connect(self.reject)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(6, 0, 0, 0)
        for widget in (self.sentence, self.problem):
            layout.addWidget(widget)
        layout.addWidget(self.file, 1)
        below = QHBoxLayout()
        below.addStretch(1)
        for widget in (close, self.save_button, self.run_button):
            below.addWidget(widget)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(scrollable(column))
        split.addWidget(right)
        split.setSizes([700, 460])
        whole = QVBoxLayout(self)
        whole.addWidget(split, 1)
        whole.addLayout(below)

    def _connect(self) -> None:
        self.question.textEdited.connect(lambda _text: self._edited())
        self.base.activated.connect(lambda _index: self._base_chosen())
        self.arms.edited.connect(self._edited)
        self.seeds.fieldEdited.connect(lambda _name: self._edited())
        for section in (self.tune, self.measure, self.decide):
            section.edited.connect(self._edited)
        self.checking.answered.connect(self._show_checked)
        self.checking.failed.connect(self._say_problem)
        self.listing.answered.connect(self._offer_runs)
        # Without the list of runs the presets are left.
        self.listing.failed.connect(self._say_problem)
        self.writing.answered.connect(self._written)
        self.writing.failed.connect(self._say_problem)
        self.save_button.clicked.connect(lambda _checked=False: self._save_as())
        self.run_button.clicked.connect(lambda _checked=False: self.save(None, run=True))

    def _offer_sources(self) -> None:
        chosen = self.base.currentIndex()
        self.base.clear()
        for source in self._sources:
            self.base.addItem(printable(source.text), source)
        self.base.setCurrentIndex(max(0, chosen))
        self._offer_to_arms()

    def _offer_to_arms(self) -> None:
        paths = self._paths()
        self.arms.set_sources(self._sources, paths)
        self.tune.set_paths(paths)

    def _offer_runs(self, runs: RunList) -> None:
        self._sources += [
            Source(f"run {record.title} ({record.id})", document=record.experiment)
            for record in runs.records[:_MAX_RUNS]
        ]
        self._offer_sources()

    def _paths(self) -> list[str]:
        """Return the fields of the experiment in the editor, which most arms change."""
        tables = toml.parse(self._sources[0].document)
        return [path for path, _ in flat(tables) if path not in ("title", "format")]

    def _base_chosen(self) -> None:
        self._edited()

    # --- what the form says -----------------------------------------------------------------------

    def draft(self) -> Draft:
        """Return what the form says.

        Raises:
            InvalidInput: a field cannot be read; ``field`` says which.
        """
        for name, sentence in self.seeds.errors().items():
            raise InvalidInput(sentence, f"seeds.{name}")
        source: Source = self.base.currentData()
        return Draft(
            self.question.text().strip(),
            source.base,
            self.arms.arms(),
            self.seeds.values(),
            self.measure.values(),
            self.decide.values(),
            self.tune.tuning(),
        )

    def _edited(self) -> None:
        self.checked = None
        self._refresh()
        self.decide.set_arms([row.name.text().strip() for row in self.arms.rows])
        self._pause.start()

    def _check(self) -> None:
        self._clear_problems()
        try:
            self._current = self.draft()
        except InvalidInput as error:
            self._show_problem(str(error), error.field)
            return
        self.checking.ask(CheckDraftTask(self._current))

    def _show_checked(self, checked: CheckedDraft) -> None:
        if self._pause.isActive():
            return
        if checked.document:
            self.file.setPlainText(checked.document)
        if checked.problem:
            self._show_problem(checked.problem, checked.field)
            return
        self.checked = checked
        tuning = f" Tuned: {checked.tuning}." if checked.tuning else ""
        self.sentence.setText(
            printable(f"{checked.sentence}{tuning} It trains {checked.runs:,} runs.")
        )
        self._refresh()

    # --- problems ---------------------------------------------------------------------------------

    def _clear_problems(self) -> None:
        self.problem.setText("")
        self.arms.clear_problems()
        for section in (self.tune, self.measure, self.decide):
            section.clear_problems()
        for editor in self.seeds.editors.values():
            editor.clear_experiment_error()

    def _show_problem(self, sentence: str, field: str) -> None:
        """Show a sentence beside the field that it is about, or below all of them."""
        self.sentence.setText("")
        number = self._arm_of(sentence, field)
        if number is not None:
            self.arms.show_problem(number, sentence)
            return
        section, _, name = field.partition(".")
        form = {"tune": self.tune, "measure": self.measure, "decide": self.decide}.get(section)
        if form is not None:
            place = "path" if section == "tune" and name not in ("from", "to", "by") else name
            if form.show_problem(place, sentence):
                return
        if section == "seeds" and name in self.seeds.editors:
            self.seeds.editors[name].show_experiment_error(sentence)
            return
        self._say_problem(sentence)

    def _arm_of(self, sentence: str, field: str) -> int | None:
        """Return the number of the arm that a problem is about."""
        section, _, place = field.partition(".")
        if section == "arms" and place.isdecimal() and int(place) < len(self.arms.rows):
            return int(place)
        for number, row in enumerate(self.arms.rows):
            if sentence.startswith(f"arms.{row.name.text().strip()}: "):
                return number
        return None

    def _say_problem(self, sentence: str) -> None:
        self.problem.setText(printable(sentence))

    def problems(self) -> list[str]:
        """Return all sentences that say what is wrong."""
        beside = [row.problem.text() for row in self.arms.rows if not row.problem.isHidden()]
        for section in (self.tune, self.measure, self.decide):
            beside += section.problems().values()
        seeds = [editor.problem for editor in self.seeds.editors.values()]
        beside += [label.text() for label in seeds if not label.isHidden()]
        return [*filter(None, beside), *filter(None, [self.problem.text()])]

    # --- writing ----------------------------------------------------------------------------------

    def save(self, path: Path | None, *, run: bool) -> None:
        """Write the file, by default into the folder of the user's studies, and maybe run it."""
        if self.checked is not None:
            self._run_it = run
            self.writing.ask(WriteStudyTask(self.checked.document, self.question.text(), path))

    def _save_as(self) -> None:
        path, _ = file_dialogs.save_file(self, "Save study", "study.toml", "Study (*.toml)")
        if path:
            self.save(Path(path), run=False)

    def _written(self, path: Path) -> None:
        self.written.emit(path, self._run_it)
        self.accept()

    def _refresh(self) -> None:
        for button in (self.save_button, self.run_button):
            button.setEnabled(self.checked is not None)

    def done(self, result: int) -> None:
        """Close; what is being checked is not needed any more."""
        self._pause.stop()
        for bridge in (self.checking, self.listing, self.writing):
            bridge.shut_down()
        super().done(result)


def _question(names: Sequence[str], text: str) -> str:
    return f"{' or '.join(names)}: {text}?"
