"""Lays the runs that are shown over the plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal

from optlab.gui.bridge import TaskBridge
from optlab.gui.plots.overlay import Band, Overlay, SeriesKey
from optlab.gui.plots.plot_link import PlotLink
from optlab.gui.plots.tiles import OverlaysRuns
from optlab.gui.runs.overlay_task import OverlayData, OverlayTask
from optlab.gui.runs.shown_runs import ShownEntry, ShownRuns
from optlab.tasks.run_table import RunTable

_NOTHING = OverlayData({}, {})


class OverlayController(QObject):
    """Reads the visible runs in the background, and gives them to all plots.

    Args:
        shown: which runs there are.
        link: smoothing and bands.
        plots: returns the plots that can show other runs, as they are now.
        parent: owner.

    Signals: ``failed(str)``: why runs cannot be read; ``laid()``: the plots have what was read.
    """

    failed = Signal(str)
    laid = Signal()

    def __init__(
        self,
        shown: ShownRuns,
        link: PlotLink,
        plots: Callable[[], Sequence[OverlaysRuns]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._shown, self._link, self._plots = shown, link, plots
        self._table = RunTable()
        self._data = _NOTHING
        self._asked: tuple[dict[str, int], *tuple[object, ...]] | None = None
        self._grown = False
        self._laid: frozenset[SeriesKey] = frozenset()
        self.work = TaskBridge(None, self)
        self.work.answered.connect(self._answered)
        self.work.failed.connect(self._work_failed)
        self.work.finished.connect(self._read_on)
        shown.changed.connect(self.update)
        link.changed.connect(self.update)

    def set_table(self, table: RunTable) -> None:
        """Set the stored runs: those that are visible and have grown are read on."""
        self._table = table
        self.update()

    def update(self) -> None:
        """Show at once what is known, and read what is not."""
        others = self._others()
        keys = self._laid = self._keys()
        rows = self._table.rows
        steps = {one.run_id: rows[one.run_id].record.steps for one in others if one.run_id in rows}
        wanted = (steps, keys, self._link.smoothing, self._groups(others), self._link.band)
        self._lay()
        if not steps:
            self._data, self._asked = _NOTHING, None
            self.work.give_up()
        elif wanted != self._asked and self.work.active and self._only_grown(wanted):
            # What is being read counts: runs that grow faster than they are read would never show.
            self._grown = True
        elif wanted != self._asked:
            self._asked, self._grown = wanted, False
            self.work.ask(OverlayTask(steps, self._data, *wanted[1:]))

    def _only_grown(self, wanted: tuple[dict[str, int], *tuple[object, ...]]) -> bool:
        """Return whether the same is wanted as before, of the same runs."""
        asked = self._asked
        return asked is not None and (wanted[0].keys(), wanted[1:]) == (asked[0].keys(), asked[1:])

    def _read_on(self) -> None:
        if self._grown:
            self._grown = False
            self.update()

    def check(self) -> None:
        """Lay the runs again where plots draw other series than before, or there are new plots."""
        if self._keys() != self._laid:
            self.update()

    def shut_down(self) -> None:
        """Cancel what is being read."""
        self.work.shut_down()

    def _others(self) -> list[ShownEntry]:
        return [one for one in self._shown.entries() if one.visible and not one.own]

    def _keys(self) -> frozenset[SeriesKey]:
        return frozenset().union(*(plot.overlay_series for plot in self._plots()))

    def _groups(self, others: Sequence[ShownEntry]) -> dict[str, tuple[str, ...]]:
        groups: dict[str, list[str]] = {}
        for one in others:
            if one.group:
                groups.setdefault(one.group, []).append(one.run_id)
        return {group: tuple(runs) for group, runs in groups.items() if len(runs) > 1}

    def _answered(self, data: OverlayData) -> None:
        self._data = data
        problems = [one.problem for one in data.runs.values() if one.problem]
        if problems:
            self.failed.emit(problems[0])
        self._lay()
        self.laid.emit()

    def _work_failed(self, sentence: str) -> None:
        self._asked = None
        self.failed.emit(sentence)

    def _lay(self) -> None:
        others, data = self._others(), self._data
        own = [one for one in self._shown.entries() if one.own]
        groups = self._groups(others) if self._link.band != "none" else {}
        folded = {
            run: group
            for group, runs in groups.items()
            if group in data.bands
            for run in runs
            if run in data.runs
        }
        overlays = [
            Overlay(one.run_id, one.name, one.color, own=True, visible=one.visible) for one in own
        ]
        bands: dict[str, Band] = {}
        for one in others:
            found = data.runs.get(one.run_id)
            if found is None:
                continue
            overlays.append(
                Overlay(
                    one.run_id,
                    one.name,
                    one.color,
                    samples=found.samples,
                    averages=found.averages,
                    scale=found.scale,
                    folded=one.run_id in folded,
                )
            )
            group = folded.get(one.run_id)
            if group is not None and group not in bands:
                runs = groups[group]
                bands[group] = Band(
                    group,
                    f"{one.group_name} ({len(runs)} seeds)",
                    one.color,
                    runs,
                    data.bands[group].samples,
                    found.scale,
                )
        for plot in self._plots():
            plot.set_overlays(overlays, tuple(bands.values()))
