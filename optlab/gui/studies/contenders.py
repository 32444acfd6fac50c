"""Contenders: the experiment in the editor, or that of a stored run, against others that differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from optlab.core.errors import OptLabError
from optlab.core.wording import in_sentence
from optlab.experiment import Experiment, presets

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow
    from optlab.gui.studies.study_editor import StudyEditor


class Contenders(QObject):
    """Opens the editor of a study on an experiment, and gives what it writes to the studies' place.

    Args:
        window: whose experiment and places these are.

    Attributes:
        editor: the one that is open, or None.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.editor: StudyEditor | None = None
        window.controls.contenderRequested.connect(self.add)
        window.secondary_windows.studyWanted.connect(self.add)

    def add(self) -> None:
        """Open the editor on the experiment in the editor of the window."""
        try:
            experiment = self._window.experiment_panel.experiment(check=False)
        except OptLabError as error:
            self._window.show_problem(f"The experiment is not complete: {error}")
            return
        self.open(experiment, _words(experiment))

    def add_to_run(self, document: str, title: str) -> None:
        """Open the editor on the experiment of a stored run.

        Args:
            document: the experiment as TOML. title: of the run.
        """
        self.open(Experiment.from_toml(document, check=False), title)

    def open(self, experiment: Experiment, text: str) -> None:
        """Open the editor on an experiment, or bring the one that is open to the front."""
        # Imported here: most sessions never open it.
        from optlab.gui.studies.study_editor import StudyEditor

        if self.editor is None:
            names = [path.stem for path in presets.files()]
            editor = StudyEditor(
                experiment.to_toml(), text, names, _first_arms(experiment), self._window
            )
            editor.written.connect(self._written)
            editor.finished.connect(self._closed)
            self.editor = editor
        self.editor.show()
        self.editor.raise_()
        self.editor.activateWindow()

    def shut_down(self) -> None:
        """Close the editor."""
        if self.editor is not None:
            self.editor.reject()

    def _closed(self) -> None:
        self.editor = None

    def _written(self, path: Path, run: bool) -> None:
        self._window.secondary_windows.show_study_file(path, run=run)


def _words(experiment: Experiment) -> str:
    model = in_sentence(experiment.model.short_label())
    return f"{experiment.dataset.short_name()} · {model}"


def _first_arms(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return the experiment as it is, and one contender with another optimizer."""
    mine = experiment.optimizer.name
    other = "momentum" if mine == "adam" else "adam"
    return {mine: {}, other: {"optimizer.name": other}}
