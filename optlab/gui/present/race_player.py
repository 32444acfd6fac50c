"""A scene that is a race: methods on a surface, computed at once and played at a pace to watch."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QStackedWidget, QWidget

from optlab.gui.bridge import FRAME_MILLISECONDS, TaskBridge, WorkerPrewarmer
from optlab.gui.plots.colors import LIGHT, PlotColors
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.legend import Legend
from optlab.gui.plots.relief import Relief, Track
from optlab.gui.plots.relief_view import ReliefView
from optlab.gui.plots.ticks import readable
from optlab.gui.present.player import Player
from optlab.gui.surfaces.line_plot import LinePlot
from optlab.studies.surfaces.descent import Race
from optlab.tasks.scenes.scene import RaceScene, Show
from optlab.tasks.surfaces import PictureTask, RaceTask, SurfacePicture

_TITLES = {
    "contours": "Seen from above",
    "relief": "As a landscape",
    "heights": "Height",
    "gradients": "Norm of the gradient",
}


class RacePlayer(Player):
    """Plays a race.

    Args:
        content: the race. show: its tiles and its duration. prewarmer: of the worker that computes
            it.
    """

    def __init__(self, content: RaceScene, show: Show, prewarmer: WorkerPrewarmer) -> None:
        super().__init__()
        self._content, self._show = content, show
        self._race: Race | None = None
        self._play_next = False
        self._position = 0.0
        self.contours, self.line, self.relief = ContourPlot(), LinePlot(), ReliefView()
        self.plane = QStackedWidget()
        self.plane.addWidget(self.contours)
        self.plane.addWidget(self.line)
        self.heights = CurvePlot("Height f", log_y=show.y == "log")
        self.gradients = CurvePlot("Norm of the gradient", log_y=show.y != "linear")
        widgets: dict[str, QWidget] = {
            "contours": self.plane,
            "relief": self.relief,
            "heights": self.heights,
            "gradients": self.gradients,
        }
        self._unused = [
            widget for name, widget in widgets.items() if name not in (show.tiles or ("contours",))
        ]
        for name in show.tiles or ("contours",):
            self.add_tile(_TITLES[name], widgets[name])
        for widget in self._unused:
            widget.setParent(self)
            widget.hide()
        self.legend = Legend(LIGHT)
        for index, method in enumerate(content.methods):
            self.legend.add(str(index), method.label, method.color)
            self.legend.entry(str(index)).setEnabled(False)
        self._column.insertWidget(0, self.legend)
        for plot in (self.heights, self.gradients):
            plot.legend.hide()
            for index, method in enumerate(content.methods):
                plot.add_curve(str(index), method.label, method.color, strong=True)
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._advance)
        self.pictures, self.races = (TaskBridge(prewarmer.pool, self) for _ in range(2))
        self.pictures.answered.connect(self._show_picture)
        self.races.answered.connect(self._show_race)
        for bridge in (self.pictures, self.races):
            bridge.failed.connect(self.said)
        self.pictures.ask(PictureTask(content.surface))
        self.races.ask(RaceTask(content.surface, content.methods, content.steps, content.noise))

    @property
    def step(self) -> int:
        """The step that is shown."""
        return int(self._position)

    def toggle(self) -> None:
        """Play, pause, or go on; at the end, play again."""
        if self._timer.isActive():
            self._timer.stop()
            self.set_state("paused")
        elif self._race is None:
            self._play_next = True
        elif self.step >= self._last:
            self.again()
        else:
            self._timer.start()
            self.set_state("running")

    def again(self) -> None:
        """Play from the start."""
        self._position = 0.0
        self._play_next = self._race is None
        if self._race is not None:
            self._timer.start()
            self.set_state("running")

    @property
    def _last(self) -> int:
        return 0 if self._race is None else len(self._race.positions) - 1

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a projector."""
        for part in (self.contours, self.line, self.relief, self.heights, self.gradients):
            part.set_colors(colors)
        self.legend.set_colors(colors)

    def refresh(self) -> None:
        """Draw the curves."""
        for plot in (self.heights, self.gradients, self.contours, self.line):
            plot.refresh()

    def shut_down(self) -> None:
        """Stop the computation and the play."""
        self._timer.stop()
        self.pictures.shut_down()
        self.races.shut_down()

    def _show_picture(self, picture: SurfacePicture) -> None:
        if len(picture.axes) == 1:
            self.plane.setCurrentWidget(self.line)
            for tile in self.tiles:
                if tile.plot is self.plane:
                    tile.title.setText("The function")
            self.line.set_function(picture.axes[0], picture.heights)
        else:
            relief = Relief(picture.axes[0], picture.axes[1], picture.heights)
            self.contours.set_relief(relief)
            self.relief.set_relief(relief)
        self._show_step()

    def _show_race(self, race: Race) -> None:
        self._race = race
        for plot, values in self._curves(race):
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if not plot.log_y or low > 0.0:
                plot.set_frame((0.0, float(self._last), low, high) if high > low else None)
        if self._play_next:
            self.again()
        self._show_step()

    def _curves(self, race: Race) -> list[tuple[CurvePlot, np.ndarray]]:
        """Return each curve plot with its finite values, ``[K + 1, R]``, others as NaN."""
        norms = np.linalg.norm(race.gradients, axis=2)
        return [
            (plot, np.where(np.isfinite(values), values, np.nan))
            for plot, values in ((self.heights, race.values), (self.gradients, norms))
        ]

    def _advance(self) -> None:
        self._position += self._last * FRAME_MILLISECONDS / 1000.0 / self._show.seconds
        if self._position >= self._last:
            self._position = float(self._last)
            self._timer.stop()
        self._show_step()
        if not self._timer.isActive():
            self.set_state("ended")

    def _show_step(self) -> None:
        race, step = self._race, self.step
        if race is None:
            return
        tracks = []
        for index, method in enumerate(self._content.methods):
            at = min(step, int(race.lengths[index]))
            flat = race.positions.shape[2] == 1
            tracks.append(
                Track(
                    method.label,
                    method.color,
                    race.positions[: at + 1, index],
                    None,
                    race.gradients[at, index] if flat else None,
                )
            )
            for plot, values in self._curves(race):
                plot.replace(str(index), np.arange(at + 1), values[: at + 1, index])
        for part in (self.contours, self.line, self.relief):
            part.set_tracks(tracks)
        self.refresh()
        self.said.emit(
            f"Step {step:,} of {self._last:,}" if step < self._last else self._ends(race)
        )

    def _ends(self, race: Race) -> str:
        parts = [
            f"{method.label}: diverged"
            if race.reasons[run]
            else f"{method.label}: f = {readable(float(race.values[-1, run]), 3)}"
            for run, method in enumerate(self._content.methods)
        ]
        return f"After {self._last:,} steps – " + " · ".join(parts)
