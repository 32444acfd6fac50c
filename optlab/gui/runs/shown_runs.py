"""Which runs are shown: those whose eye is open, beside the run that the plots follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from optlab.store.names import is_run_id
from optlab.tasks.run_table import RunRow, RunTable, shown_names

MAX_SHOWN = 64
"""Runs that are shown at once: more curves cannot be distinguished."""


@dataclass(frozen=True)
class ShownEntry:
    """A run that is shown or selected.

    Attributes:
        run_id: its id.
        name: what distinguishes it from the others that are visible, or its own name.
        color: index into the palette.
        visible: whether its curves are drawn.
        selected: whether it is selected in the panel.
        live: whether it is in progress.
        own: whether it is the run that the plots follow.
        group: equal in runs that differ in nothing but their seeds; "" where nothing is known.
        group_name: what distinguishes the group from the others.
    """

    run_id: str
    name: str
    color: int
    visible: bool
    selected: bool
    live: bool
    own: bool = False
    group: str = ""
    group_name: str = ""


class ShownRuns(QObject):
    """Keeps the runs that are visible and selected, with their names and colors.

    Signals: ``changed()``: :meth:`entries` has changed; ``refused(str)``: why a run is not shown.
    """

    changed = Signal()
    refused = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = RunTable()
        # In the order in which they were shown.
        self._visible: dict[str, None] = {}
        self._selected: tuple[str, ...] = ()
        self._own = self._own_title = ""
        self._own_live, self._own_hidden = False, False
        self._entries: tuple[ShownEntry, ...] = ()
        self._drawn: frozenset[str] = frozenset()

    @property
    def own(self) -> str:
        """Id of the run that the plots follow; "" where there is none or it is not stored."""
        return self._own

    @property
    def visible(self) -> tuple[str, ...]:
        """Ids of the runs whose eye was opened, in that order."""
        return tuple(self._visible)

    @property
    def visible_set(self) -> frozenset[str]:
        """Ids of all runs whose curves are drawn."""
        return self._drawn

    def entries(self) -> list[ShownEntry]:
        """Return the runs that are visible or selected: the run that plots follow comes first."""
        return list(self._entries)

    def is_visible(self, run_id: str) -> bool:
        """Return whether the curves of a run are drawn."""
        if run_id == self._own and run_id:
            return not self._own_hidden
        return run_id in self._visible

    def name(self, run_id: str) -> str:
        """Return the name of a run that is visible beside others; "" of any other."""
        visible = [one for one in self._entries if one.visible]
        if len(visible) < 2:
            return ""
        return next((one.name for one in visible if one.run_id == run_id), "")

    # --- changes ------------------------------------------------------------------------------

    def set_table(self, table: RunTable) -> None:
        """Set the runs that there are; those that are gone are no longer shown."""
        self._table = table
        self._visible = {run: None for run in self._visible if run in table.rows}
        self._update()

    def set_own(self, run_id: str, title: str, *, live: bool) -> None:
        """Set the run that the plots follow.

        Args:
            run_id: its id; "" while it has none. title: for a run that is not in the table yet.
            live: whether it is in progress.
        """
        if run_id != self._own or not run_id:
            self._own_hidden = False
        self._own, self._own_title, self._own_live = run_id, title, live
        self._update()

    def set_visible(self, run_ids: Iterable[str], visible: bool) -> None:
        """Draw the curves of these runs, or do so no longer."""
        for run in run_ids:
            if run == self._own and run:
                self._own_hidden = not visible
            elif not visible:
                self._visible.pop(run, None)
            elif len(self._visible) >= MAX_SHOWN and run not in self._visible:
                self.refused.emit(
                    f"At most {MAX_SHOWN} runs are shown at once; hide others before."
                )
                break
            else:
                self._visible[run] = None
        self._update()

    def select(self, run_ids: Collection[str]) -> None:
        """Select these runs."""
        if tuple(run_ids) != self._selected:
            self._selected = tuple(run_ids)
            self._update()

    # --- the session -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return which runs are visible, for :meth:`restore` in a later session."""
        return {"visible": list(self._visible)}

    def restore(self, state: object) -> None:
        """Show what :meth:`state` has returned; anything that is not an id is left out."""
        if not isinstance(state, Mapping) or not isinstance(state.get("visible"), list):
            return
        runs = [run for run in state["visible"] if is_run_id(run)][:MAX_SHOWN]
        self._visible = dict.fromkeys(runs)
        self._update()

    # --- entries ----------------------------------------------------------------------------------

    def _update(self) -> None:
        entries = tuple(self._listed())
        self._drawn = frozenset(filter(self.is_visible, (self._own, *self._visible)))
        if entries != self._entries:
            self._entries = entries
            self.changed.emit()

    def _listed(self) -> Iterable[ShownEntry]:
        rows = self._table.rows
        followed = bool(self._own or self._own_title)
        known = [run for run in self._visible if run in rows and run != self._own]
        named = [run for run in (self._own, *known) if run in rows]
        names = dict(zip(named, shown_names([rows[run] for run in named]), strict=True))
        groups = group_names([rows[run] for run in named])
        listed = [run for run in self._selected if run in rows and run not in names]

        def entry(run: str, *, visible: bool, own: bool = False) -> ShownEntry:
            row = rows[run]
            return ShownEntry(
                run,
                names.get(run) or row.record.name or self._table.names.get(run, row.record.title),
                color_of(row),
                visible,
                run in self._selected,
                row.record.going,
                own,
                *groups.get(run, ("", "")),
            )

        if followed and self._own in rows:
            yield entry(self._own, visible=not self._own_hidden, own=True)
        elif followed:
            title = self._own_title or self._own
            hidden, live = self._own_hidden, self._own_live
            yield ShownEntry(self._own, title, 0, not hidden, False, live, own=True)
        for run in known:
            yield entry(run, visible=True)
        for run in listed:
            yield entry(run, visible=False)


def color_of(row: RunRow) -> int:
    """Return the color of a run: index into the palette."""
    # A store that cannot be migrated has given none: any that stays the same will do.
    return row.record.color if row.record.color >= 0 else sum(row.record.id.encode())


def group_names(rows: Collection[RunRow]) -> dict[str, tuple[str, str]]:
    """Return group and name of the group of each run, by id."""
    first: dict[tuple[str, ...], RunRow] = {}
    for row in rows:
        first.setdefault(row.family, row)
    names = dict(zip(first, shown_names(list(first.values())), strict=True))
    # The own name of one run is not that of all.
    return {row.record.id: (first[row.family].record.id, names[row.family]) for row in rows}
