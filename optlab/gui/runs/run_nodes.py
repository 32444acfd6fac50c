"""The tree of runs: filtered, grouped and sorted, with forks below the run they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from optlab.gui.runs.run_columns import Column, sorting_key
from optlab.tasks.run_filter import RunFilter
from optlab.tasks.run_table import RunRow, RunTable

Grouping = Literal["seeds", "study", "title", "optimizer", "none"]
GROUPINGS: Mapping[Grouping, str] = {
    "seeds": "Runs of the same settings (seeds)",
    "study": "Studies",
    "title": "Titles",
    "optimizer": "Optimizers",
    "none": "No groups",
}


@dataclass(eq=False)
class Node:
    """A row of the tree: a run, or a group of runs.

    Attributes:
        key: ``run ID`` or ``group …``, equal when the tree is built again.
        label: of a group; "" of a run.
        row: the run; of a group, its newest.
        children: below it. parent: above it, None at the top. place: among its siblings.
        texts: of the cells of a group, as far as they were computed.
    """

    key: str
    row: RunRow
    label: str = ""
    children: list[Node] = field(default_factory=list)
    parent: Node | None = None
    place: int = 0
    texts: dict[str, str] | None = None

    @property
    def is_group(self) -> bool:
        """Whether it stands for several runs."""
        return bool(self.label)

    @property
    def run_ids(self) -> list[str]:
        """Ids of the run, or of the runs of the group; forks below a run are their own."""
        if not self.is_group:
            return [self.row.record.id]
        return [child.row.record.id for child in self.children]

    @cached_property
    def run_set(self) -> frozenset[str]:
        """The same ids."""
        return frozenset(self.run_ids)


def tree(
    table: RunTable,
    chosen: RunFilter,
    grouping: Grouping,
    column: Column | None,
    *,
    descending: bool,
) -> list[Node]:
    """Return the nodes at the top.

    A fork is below its parent where the filter lists both. Runs of the same settings are a group
    from two on; the newest stands first unless a column sorts them. Missing values stand last.

    Args:
        table: the runs. chosen: which of them. grouping: what is a group.
        column: that sorts them; None for the newest first.
        descending: whether the largest value stands first.
    """
    nodes = {run: Node(f"run {run}", row) for run, row in table.rows.items() if chosen.matches(row)}
    roots = []
    for node in nodes.values():
        above = nodes.get(node.row.record.parent)
        if above is None:
            roots.append(node)
        else:
            above.children.append(node)
    top = _grouped(roots, grouping, table)
    _finish(top, None, _order(column, descending))
    return top


def _grouped(roots: Sequence[Node], grouping: Grouping, table: RunTable) -> list[Node]:
    if grouping == "none":
        return list(roots)
    keys: dict[Any, list[Node]] = {}
    for node in roots:
        keys.setdefault(_group_key(node.row, grouping), []).append(node)
    top = []
    for key, members in keys.items():
        if key is None or (grouping == "seeds" and len(members) < 2):
            top += members
            continue
        first = members[0].row
        name = table.names.get(first.record.id, first.record.title)
        label = {
            "seeds": first.record.title if len(keys) == 1 else _without_seed(name),
            "study": first.study,
            "title": first.record.title,
            "optimizer": str(key),
        }[grouping]
        node = Node(f"group {grouping} {hash(key)}", first, label or "(no title)", list(members))
        top.append(node)
    return top


def _without_seed(name: str) -> str:
    parts = [part for part in name.split(", ") if not part.rpartition(" · ")[2].startswith("seed ")]
    return ", ".join(parts) or name.partition(" · seed ")[0]


def _group_key(row: RunRow, grouping: Grouping) -> Any:
    match grouping:
        case "seeds":
            return row.family
        case "study":
            return None if row.member is None else row.member.study
        case "title":
            return row.record.title
        case _:
            return row.settings.get("optimizer.name")


def _order(column: Column | None, descending: bool) -> Callable[[list[Node]], list[Node]]:
    def ordered(nodes: list[Node]) -> list[Node]:
        if column is None:
            return nodes
        with_value, without = [], []
        for node in nodes:
            value = column.value(node.row)
            if value is None or value == "":
                without.append(node)
            else:
                with_value.append((sorting_key(value), node))
        with_value.sort(key=lambda pair: pair[0], reverse=descending)
        return [node for _, node in with_value] + without

    return ordered


def _finish(
    nodes: list[Node], parent: Node | None, ordered: Callable[[list[Node]], list[Node]]
) -> None:
    nodes[:] = ordered(nodes)
    for place, node in enumerate(nodes):
        node.parent, node.place = parent, place
        if node.children:
            _finish(node.children, node, ordered)


def flat(top: Sequence[Node]) -> list[Node]:
    """Return all nodes, each before those below it."""
    found: list[Node] = []

    def add(nodes: Sequence[Node]) -> None:
        for node in nodes:
            found.append(node)
            if node.children:
                add(node.children)

    add(top)
    return found
