"""The experiment in the editor in the clipboard: as a command, or as a script of PyTorch."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from optlab.core.errors import OptLabError
from optlab.gui.bridge import TaskBridge
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.experiment_panel import ExperimentPanel


class CopiedExperiment(QObject):
    """Copies what the editor shows; the banner says what is in the clipboard, or why not.

    Args:
        tasks: writes scripts in the background. window: owner.
    """

    def __init__(
        self, panel: ExperimentPanel, tasks: TaskBridge, banner: Banner, window: QWidget
    ) -> None:
        super().__init__(window)
        self._panel, self._tasks, self._banner = panel, tasks, banner
        tasks.answered.connect(self._written)
        tasks.failed.connect(self._failed)

    def copy_command(self) -> None:
        """Copy the command that runs the experiment."""
        # Imported here, and below: not needed before something is copied.
        from optlab.tasks.commands import command_of

        try:
            command = command_of(self._panel.experiment(check=False))
        except OptLabError as error:
            self._failed(str(error))
            return
        QGuiApplication.clipboard().setText(command)
        self._banner.show_sentence("The command that runs this experiment is in the clipboard.")

    def copy_script(self) -> None:
        """Write the experiment as a script of PyTorch, and copy it."""
        from optlab.tasks.script_export import ScriptTextTask

        try:
            document = self._panel.experiment(check=False).to_toml()
        except OptLabError as error:
            self._failed(str(error))
            return
        self._banner.show_sentence("The script is being written…")
        self._tasks.ask(ScriptTextTask(document))

    def shut_down(self) -> None:
        """Stop writing."""
        self._tasks.shut_down()

    def _written(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._banner.show_sentence(
            "A PyTorch script that trains this experiment is in the clipboard."
        )

    def _failed(self, sentence: str) -> None:
        self._banner.show_sentence(sentence, problem=True)
