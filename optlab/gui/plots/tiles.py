"""The plots of the plots panel, found by walking this folder.

A plot in a file ``…_plot.py`` of this folder becomes a tile of the panel when its class declares
``tile_title``, ``tile_row`` and ``tile_position``. What it is given follows from its methods: see
the protocols below. The installer reads the same walk (:func:`modules`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from optlab.experiment import Experiment
    from optlab.gui.plots.colors import PlotColors
    from optlab.gui.plots.overlay import Band, Overlay, SeriesKey
    from optlab.gui.plots.plot_link import PlotLink
    from optlab.gui.plots.value_export import ValueSource
    from optlab.tasks.model_view import View
    from optlab.tasks.run_scales import RunScale
    from optlab.training.events import SeriesBlock, WeightPath


class BoardPlot(Protocol):
    """What every plot of a tile has."""

    def refresh(self) -> bool:
        """Draw what is pending, and return whether there was anything."""

    def clear(self) -> None:
        """Remove the data of the run."""

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a theme."""


class TilePlot(BoardPlot, Protocol):
    """What every plot of the panel has; its class is a widget that is built without arguments.

    Attributes:
        tile_title: heading of its tile.
        tile_row: row of the panel, from 0 at the top.
        tile_position: order within the row, from 0 at the left.
        tile_at_first: whether it is there without being asked for; True where a class does not say.
    """

    tile_title: ClassVar[str]
    tile_row: ClassVar[int]
    tile_position: ClassVar[int]


@runtime_checkable
class DrawsSeries(Protocol):
    """A plot of series over the steps of a run."""

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that it draws."""

    def add(self, block: SeriesBlock) -> None:
        """Add the values of a block."""

    def mark(self, step: float, text: str) -> None:
        """Mark a step at which something changed."""

    def set_cursor(self, step: float | None) -> None:
        """Draw a line at the step that is looked at; None for none."""

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where values are read that the plot no longer keeps; None for nowhere."""


@runtime_checkable
class DrawsPath(Protocol):
    """A plot of the path of the weights."""

    def show_path(self, path: WeightPath) -> None:
        """Show this path in place of the last."""

    def set_path_note(self, note: str) -> None:
        """Set the text to show while there is no path; "" for the default."""


@runtime_checkable
class DependsOnTask(Protocol):
    """A plot that has nothing to show for some learning tasks."""

    def set_task(self, task: str) -> None:
        """Set the learning task, ``classes`` or ``regression``."""


@runtime_checkable
class FollowsWeights(Protocol):
    """A plot of the weights that the experiment names."""

    def set_followed(self, names: Sequence[str]) -> None:
        """Name the followed weights, in the order of their values."""


@runtime_checkable
class OverlaysRuns(Protocol):
    """A plot over steps on which other runs can be laid."""

    @property
    def overlay_series(self) -> frozenset[SeriesKey]:
        """The series that it draws of other runs."""

    def set_overlays(self, overlays: Sequence[Overlay], bands: Sequence[Band] = ()) -> None:
        """Lay these runs over the plot in place of those before; samples of its own run stay."""

    def set_link(self, link: PlotLink) -> None:
        """Share unit, smoothing, bands and crosshair with other plots."""

    def set_scale(self, scale: RunScale | None) -> None:
        """Set how the steps of the run that it follows are converted; None if not known."""


@runtime_checkable
class ShowsStep(Protocol):
    """A plot that can show the state of a run at one step."""

    def set_step(self, run_id: str, step: int | None) -> None:
        """Set the run, "" for none, and the step of it that is looked at; None for the newest."""


@runtime_checkable
class ShowsModel(ShowsStep, Protocol):
    """A plot of a view of the model (:mod:`optlab.tasks.model_view`), which the window has computed.

    Its signal ``viewChanged()`` says that another view is asked for, or that it has become visible;
    ``cancelRequested()`` that the wait for a result is to end.
    """

    viewChanged: Any
    cancelRequested: Any

    @property
    def view(self) -> View:
        """What is asked for."""

    def show_view(self, result: Any, step: int, note: str) -> None:
        """Show the result of its view.

        Args:
            result: of :meth:`~optlab.tasks.model_view.View.compute`.
            step: that it is of.
            note: what is to be said about it, "" for nothing.
        """

    def show_problem(self, sentence: str) -> None:
        """Show why there is nothing to be seen, in place of the last result."""

    def show_wait(self, sentence: str) -> None:
        """Say that a result is on its way; "" for no longer."""

    def clear(self) -> None:
        """Remove the result."""


@runtime_checkable
class AsksOfExperiment(Protocol):
    """A plot of something about the experiment in the editor, without a run.

    Its signals: ``taskRequested(object)``: a :class:`~optlab.tasks.task.Task` whose results it is
    given; ``cancelRequested()``: the task is to end; ``changesRequested(object)``: path → value, to
    be put into the editor.
    """

    taskRequested: Any
    cancelRequested: Any
    changesRequested: Any

    def set_experiment(self, experiment: Experiment | None) -> None:
        """Set the experiment in the editor; None while it is invalid."""

    def show_result(self, result: Any) -> None:
        """Show a result of its task."""

    def show_problem(self, sentence: str) -> None:
        """Show why its task has failed."""

    def show_end(self) -> None:
        """Say that its task is over."""


def at_first(plot: type[TilePlot]) -> bool:
    """Return whether a plot is in the panel without being asked for."""
    return bool(getattr(plot, "tile_at_first", True))


def tile_key(plot: type[TilePlot]) -> str:
    """Return the name of a plot's tile in layouts: ``gradient`` for ``GradientPlot``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", plot.__name__.removesuffix("Plot"))
    return words.lower()


def modules() -> list[str]:
    """Return the dotted names of all plot modules (what an installer has to include)."""
    package = importlib.import_module("optlab.gui.plots")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [f"{package.__name__}.{name}" for name in names if name.endswith("_plot")]


def tile_plots() -> list[type[TilePlot]]:
    """Return the classes of the panel's plots, by row and position.

    Raises:
        TypeError: two plots declare the same row and position.
    """
    classes: dict[tuple[int, int], Any] = {}
    for name in modules():
        module = importlib.import_module(name)
        members: list[tuple[str, Any]] = inspect.getmembers(module, inspect.isclass)
        for _, plot in members:
            if plot.__module__ != name or "tile_title" not in vars(plot):
                continue
            position = (plot.tile_row, plot.tile_position)
            if position in classes:
                raise TypeError(
                    f"{plot.__name__} and {classes[position].__name__} both declare tile_row = "
                    f"{position[0]} and tile_position = {position[1]}."
                )
            classes[position] = plot
    return [cast("type[TilePlot]", classes[position]) for position in sorted(classes)]
