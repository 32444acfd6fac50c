"""A scene that is a demonstration: its plots in their order, and its conclusion in words."""

from __future__ import annotations

from PySide6.QtWidgets import QProgressBar

from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.result_plot import ResultPlot
from optlab.gui.present.player import Player
from optlab.studies.demonstrations.base import DemonstrationResult
from optlab.tasks.demonstrations import DemonstrationTask
from optlab.tasks.scenes.scene import MAX_TILES, DemonstrationScene


class DemonstrationPlayer(Player):
    """Runs a demonstration and shows its first two plots.

    Args:
        content: the demonstration. prewarmer: of the worker that runs it.
    """

    def __init__(self, content: DemonstrationScene, prewarmer: WorkerPrewarmer) -> None:
        super().__init__()
        self._content = content
        self.plots = [ResultPlot() for _ in range(MAX_TILES)]
        for plot in self.plots:
            self.add_tile("", plot)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(10)
        self.progress.setAccessibleName("Progress")
        self._column.addWidget(self.progress)
        self._stopped = False
        self.work = TaskBridge(prewarmer.pool, self)
        self.work.answered.connect(self._show)
        self.work.failed.connect(self.said)
        self.work.finished.connect(self._finished)

    def toggle(self) -> None:
        """Start, or stop with what has been found; a demonstration cannot be paused."""
        if self.work.active:
            self._stopped = True
            self.work.give_up()
        else:
            self.again()

    def again(self) -> None:
        """Run it."""
        self._stopped = False
        self.set_state("running")
        self.said.emit("Computing…")
        self.work.ask(DemonstrationTask(self._content.name, self._content.values))

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a projector."""
        for plot in self.plots:
            plot.set_colors(colors)

    def shut_down(self) -> None:
        """Stop the computation."""
        self.work.shut_down()

    def _show(self, result: DemonstrationResult) -> None:
        for index, tile in enumerate(self.tiles):
            shown = index < len(result.plots)
            tile.setVisible(shown)
            if shown:
                tile.title.setText(result.plots[index].title)
                self.plots[index].show_plot(result.plots[index])
        self.progress.setValue(round(1000 * result.done))
        if result.done >= 1.0 or self._stopped:
            self.said.emit(result.sentence)

    def _finished(self) -> None:
        self.set_state("ended")
