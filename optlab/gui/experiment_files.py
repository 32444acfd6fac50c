"""Opening and saving the experiment that the editor shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMessageBox, QWidget

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.files import write_atomically
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.gui.bridge import RunBridge
from optlab.gui.manners import file_dialogs
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.plain_text import plain

FILE_KINDS = "Experiments (*.toml);;All files (*)"


def load_experiment(path: Path) -> Experiment:
    """Return the experiment in a file, unchecked if it names files or code of the user's own.

    The editor has these checked in the background.

    Raises:
        InvalidInput: see :meth:`~optlab.experiment.Experiment.load`.
    """
    return _checked_inside(lambda check: Experiment.load(path, check=check))


def _checked_inside(read: Callable[[bool], Experiment]) -> Experiment:
    experiment = read(False)
    return experiment if experiment.reads_outside() else read(True)


class ExperimentFiles(QObject):
    """Opens experiments into the editor, and saves the one that it shows.

    Before an edited experiment is replaced by another one, the user is asked whether to save it.

    Args:
        show: shows an experiment in the editor.
        window: its title names the file and marks edits, and dialogs open above it.

    Attributes:
        file: where the experiment is saved, None where it is not. file_before_opening: that of the
            one before.
        discarded: whether the user has given up the edits that the editor still shows.
        preset_threads: CPU threads of the presets that are opened from now on.

    Signals: ``saved(object)``, ``opened(object)``: the path of the file that was written, read.
    """

    saved = Signal(object)
    opened = Signal(object)

    def __init__(
        self,
        panel: ExperimentPanel,
        show: Callable[[Experiment], None],
        bridge: RunBridge,
        banner: Banner,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._panel, self._show, self._bridge = panel, show, bridge
        self._banner, self._window = banner, window
        self.file: Path | None = None
        self.file_before_opening: Path | None = None
        self.discarded = False
        self.preset_threads = 1
        self.set_file(None)
        panel.experimentChanged.connect(lambda _experiment: self._name_window())

    def open(self) -> None:
        """Ask for an experiment file and show it."""
        name = file_dialogs.open_file(self._window, "Open experiment", FILE_KINDS)
        if name:
            self.load(Path(name))

    def load(self, path: Path) -> bool:
        """Show the experiment of a file, and return whether it is shown.

        The banner says why not.
        """
        if self._bridge.active:
            self._banner.show_sentence(
                "A run is in progress. Stop it before opening another experiment."
            )
            return False
        return self.show(lambda: self._with_threads(load_experiment(path), path), path)

    def _with_threads(self, experiment: Experiment, path: Path) -> Experiment:
        """Return a preset with the threads that the user prefers."""
        threads = self.preset_threads
        if path.parent != paths.presets() or threads == experiment.general.threads:
            return experiment
        return experiment.with_values({"threads": threads}, check=not experiment.reads_outside())

    def load_document(self, document: str, *, ask: bool = True) -> bool:
        """Show the experiment of a stored run, given as TOML, and return whether it is shown.

        Args:
            document: the experiment. ask: whether edits may be lost.
        """
        return self.show(
            lambda: _checked_inside(lambda check: Experiment.from_toml(document, check=check)),
            ask=ask,
        )

    def show(
        self, read: Callable[[], Experiment], file: Path | None = None, *, ask: bool = True
    ) -> bool:
        """Show the experiment that ``read`` returns, and return whether it is shown.

        It is not shown if it cannot be read, or if the user cancels to keep the edits.

        Args:
            read: may raise an OptLabError, which the banner shows.
            file: where the experiment is saved, None where it is not.
            ask: whether edits may be lost.
        """
        try:
            experiment = read()
            if ask and not self.may_discard_edits("opening another one"):
                return False
            self.discarded = False
            self.file_before_opening = self.file
            self._show(experiment)
        except OptLabError as error:
            self._banner.show_sentence(str(error), problem=True)
            return False
        self._banner.hide()
        self.set_file(file)
        if file is not None:
            self.opened.emit(file)
        return True

    def save(self) -> None:
        """Ask for a path and save the experiment there."""
        name, _ = file_dialogs.save_file(
            self._window,
            "Save experiment",
            str(self.file or "experiment.optlab.toml"),
            FILE_KINDS,
        )
        if name:
            self.write(Path(name))

    def write(self, path: Path) -> None:
        """Save the experiment that the editor shows."""
        try:
            write_atomically(path, self._panel.experiment(check=False).to_toml().encode())
        except OptLabError as error:
            self._banner.show_sentence(str(error), problem=True)
            return
        self._panel.mark_saved()
        self.set_file(path)
        self.saved.emit(path)

    def set_file(self, file: Path | None) -> None:
        """Set where the experiment is saved, which the title of the window says."""
        self.file = file
        self._name_window()

    def _name_window(self) -> None:
        name = self.file.name if self.file is not None else self._panel.name()
        self._window.setWindowTitle(f"{printable(name)}[*] – OptLab" if name else "OptLab[*]")
        self._window.setWindowModified(self._panel.edited)

    def may_discard_edits(self, before: str, also: str = "") -> bool:
        """Ask what to do with edits, and return whether the experiment may go.

        Args:
            before: what the user is about to do, for the question.
            also: sentences about what else comes of it, which stand before the question.
        """
        if not self._panel.edited:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.warning(
            self._window,
            "Save changes?",
            plain(
                f"{also}\n\n" * bool(also)
                + f"The experiment has been edited. Save the changes before {before}?"
            ),
            buttons.Save | buttons.Discard | buttons.Cancel,
            buttons.Save,
        )
        if answer == buttons.Save:
            self.save()
            return not self._panel.edited
        self.discarded = answer == buttons.Discard
        return self.discarded
