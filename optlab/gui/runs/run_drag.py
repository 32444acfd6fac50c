"""Runs that are dragged from their panel onto a tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QObject

from optlab.gui.plots.tiles import ShowsModel
from optlab.store.names import is_run_id

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

RUNS_TYPE = "application/x-optlab-runs"
"""Type of what is dragged: ids of runs, one a line."""


def mime_of(run_ids: Sequence[str]) -> QMimeData:
    """Return what is dragged when these runs are."""
    data = QMimeData()
    data.setData(RUNS_TYPE, "\n".join(run_ids).encode())
    return data


def runs_of(data: QMimeData) -> list[str]:
    """Return the ids of the runs that are dragged; [] where something else is."""
    if not data.hasFormat(RUNS_TYPE):
        return []
    text = bytes(data.data(RUNS_TYPE).data()).decode(errors="replace")
    return [line for line in text.splitlines() if is_run_id(line)]


class RunDrops(QObject):
    """Shows a run where it is dropped.

    A tile that draws curves gets the curves of the runs, as the eye of each would give; one that
    shows the model of a run shows that of the run that was dropped.

    Args:
        window: its board takes the drops; its runs are shown.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        window.plots.board.runsDropped.connect(self._dropped)

    def _dropped(self, key: str, run_ids: Sequence[str]) -> None:
        window = self._window
        if isinstance(window.plots.board.tile(key).plot, ShowsModel):
            window.show_stored(run_ids[0])
        else:
            window.runs.shown.set_visible(run_ids, True)
