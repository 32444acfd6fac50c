"""The runs panel alone: its tree, names, eyes, filter, columns and edits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.experiment.settings import Settings
from optlab.gui import theme
from optlab.gui.runs.run_columns import available
from optlab.gui.runs.runs_panel import RunsPanel
from optlab.gui.runs.shown_runs import MAX_SHOWN, ShownRuns
from optlab.store import RunRecord
from optlab.tasks.run_table import RunRow, RunTable, names_of

BASE = Experiment.from_dict(
    {"title": "Moons", "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
)
NAME = Qt.ItemDataRole.DisplayRole
EYE = Qt.ItemDataRole.CheckStateRole


def row(number: int, *, record: dict[str, Any] | None = None, **changes: Any) -> RunRow:
    document = BASE.with_values({"title": "Moons", **changes}).to_toml()
    made = RunRecord(
        id=f"r{number}",
        title="Moons",
        experiment=document,
        status="finished",
        owner="0" * 16,
        created=f"2026-01-01T00:00:{number:02d}.000+00:00",
        runner="thread",
        versions={},
        population=f"r{number}",
        place=0,
        color=number,
        **{"final": {"validation_loss": float(number)}, **(record or {})},
    )
    return RunRow(made, Settings.of(document))


def table(rows: Sequence[RunRow]) -> RunTable:
    by_id = {one.record.id: one for one in reversed(rows)}
    return RunTable(by_id, names_of(by_id))


@pytest.fixture
def shown() -> ShownRuns:
    return ShownRuns()


@pytest.fixture
def panel(qtbot: QtBot, shown: ShownRuns) -> RunsPanel:
    made = RunsPanel(shown)
    qtbot.addWidget(made)
    made.resize(400, 500)
    QAbstractItemModelTester(made.model, made)
    return made


def fill(panel: RunsPanel, shown: ShownRuns, rows: Sequence[RunRow]) -> RunTable:
    made = table(rows)
    panel.set_table(made)
    shown.set_table(made)
    return made


def listed(panel: RunsPanel, parent: QModelIndex | None = None) -> list[str]:
    model, above = panel.model, parent or QModelIndex()
    found = []
    for place in range(model.rowCount(above)):
        index = model.index(place, 0, above)
        found.append(str(model.data(index, NAME)))
        found += [f"> {name}" for name in listed(panel, index)]
    return found


SEEDS = [row(number, seed=number, **{"optimizer.lr": 0.1}) for number in (1, 2)]
SLOW = row(3, **{"optimizer.lr": 0.01})
FORK = row(4, record={"parent": "r3", "at": 20}, **{"optimizer.lr": 0.5})


def test_that_seeds_fold_and_forks_hang_below_their_parent(
    panel: RunsPanel, shown: ShownRuns
) -> None:
    fill(panel, shown, [*SEEDS, SLOW, FORK])
    assert listed(panel) == [
        "Moons · SGD 0.01",
        "> ↳ 20 · Moons · SGD 0.5",
        "Moons · SGD 0.1 · 2 runs",
        "> Moons · SGD 0.1, seed 2",
        "> Moons · SGD 0.1, seed 1",
    ]
    panel.model.set_grouping("none")
    assert len(listed(panel)) == 4 and listed(panel)[1].startswith("> ↳ 20")


def test_that_names_and_colors_are_those_of_the_run(panel: RunsPanel, shown: ShownRuns) -> None:
    renamed = RunRow(dataclasses.replace(SLOW.record, name="mine", color=9), SLOW.settings)
    fill(panel, shown, [*SEEDS, renamed])
    shown.set_visible(["r1", "r3"], visible=True)
    entries = {one.run_id: (one.name, one.color, one.visible) for one in shown.entries()}
    assert entries == {"r1": ("SGD 0.1", 1, True), "r3": ("mine", 9, True)}
    for run, color in (("r1", 1), ("r3", 9)):
        index = panel.model.index_of(f"run {run}")
        swatch = panel.model.data(index, Qt.ItemDataRole.DecorationRole).toImage()
        assert swatch.pixelColor(2, 2).name() == theme.current().plots.curve(color)
        assert panel.model.data(index, EYE) == Qt.CheckState.Checked
    assert panel.model.data(panel.model.index_of("run r3"), NAME) == "mine"
    assert panel.model.data(panel.model.index_of("run r1"), NAME) == "SGD 0.1"
    assert panel.model.data(panel.model.index_of("run r2"), EYE) == Qt.CheckState.Unchecked


def test_that_the_eye_of_a_group_is_that_of_its_runs(panel: RunsPanel, shown: ShownRuns) -> None:
    fill(panel, shown, [*SEEDS, SLOW])
    group = panel.model.index(1, 0)
    panel.model.setData(group, Qt.CheckState.Checked, EYE)
    assert shown.visible == ("r2", "r1")
    shown.set_visible(["r1"], visible=False)
    assert panel.model.data(group, EYE) == Qt.CheckState.PartiallyChecked
    panel.tree.setCurrentIndex(panel.model.index(0, 0))
    QTest.keyClick(panel.tree, Qt.Key.Key_Space)
    assert panel.selected_runs() == ["r3"]


def test_that_the_filter_and_the_columns_sort_and_list(panel: RunsPanel, shown: ShownRuns) -> None:
    made = fill(panel, shown, [*SEEDS, SLOW, FORK])
    panel.model.set_grouping("none")
    panel.set_columns(["steps", "set:optimizer.lr", "final:validation_loss", "no such"])
    assert [one.title for one in panel.model.columns] == [
        "Run",
        "Steps",
        "Learning rate",
        "Validation loss",
    ]
    panel.tree.sortByColumn(3, Qt.SortOrder.AscendingOrder)
    values = [panel.model.data(panel.model.index(place, 3), NAME) for place in range(3)]
    assert values == ["1", "2", "3"]
    panel.filter.setText("lr<0.05")
    panel.apply_filter()
    assert len(listed(panel)) == 1 and panel.message.text() == "1 of 4 runs"
    panel.filter.setText("lr<x")
    panel.apply_filter()
    assert "not a number" in panel.problem.text() and len(listed(panel)) == 1
    keys = [one.key for part in available(made.rows.values()).values() for one in part]
    assert {"status", "final:validation_loss", "set:optimizer.lr"} <= set(keys)


def test_that_selection_and_place_survive_a_new_run(panel: RunsPanel, shown: ShownRuns) -> None:
    fill(panel, shown, [*SEEDS, SLOW])
    panel.tree.expand(panel.model.index(1, 0))
    panel.select_run("r1")
    fill(panel, shown, [*SEEDS, SLOW, row(5, **{"batches.size": 8})])
    assert panel.selected_runs() == ["r1"]
    assert panel.tree.isExpanded(panel.model.index(2, 0))
    assert [one.run_id for one in shown.entries() if one.selected] == ["r1"]


def test_that_a_change_of_a_run_does_not_build_the_tree_again(
    panel: RunsPanel, shown: ShownRuns, qtbot: QtBot
) -> None:
    fill(panel, shown, [*SEEDS, SLOW])
    grown = RunRow(dataclasses.replace(SLOW.record, steps=777), SLOW.settings)
    resets: list[int] = []
    panel.model.modelReset.connect(lambda: resets.append(1))
    with qtbot.waitSignal(panel.model.dataChanged):
        fill(panel, shown, [*SEEDS, grown])
    assert resets == []
    steps = [one.key for one in panel.model.columns].index("steps")
    assert panel.model.data(panel.model.index(0, steps), NAME) == "777"


def test_that_names_are_typed_and_stars_clicked(panel: RunsPanel, shown: ShownRuns) -> None:
    fill(panel, shown, [*SEEDS, SLOW])
    said: list[Any] = []
    panel.model.renamed.connect(lambda *what: said.append(what))
    panel.model.starred.connect(lambda *what: said.append(what))
    panel.model.setData(panel.model.index(0, 0), "  two  words ")
    panel.model.clicked(panel.model.index(0, 1))
    panel.model.clicked(panel.model.index(1, 1))
    assert said == [("r3", "two words"), (["r3"], True), (["r2", "r1"], True)]


def test_that_the_session_keeps_what_is_visible_and_nothing_else(shown: ShownRuns) -> None:
    made = table([*SEEDS, SLOW])
    shown.set_table(made)
    shown.set_visible(["r1", "r3"], visible=True)
    state = shown.state()
    other = ShownRuns()
    for damaged in (None, 3, {"visible": 3}, {"visible": [3, "../x"]}):
        other.restore(damaged)
        assert other.visible == ()
    other.restore(state)
    assert other.entries() == [], "before the runs are read"
    other.set_table(table([SLOW]))
    assert [one.run_id for one in other.entries()] == ["r3"], "r1 is no longer stored"


def test_that_not_more_runs_are_shown_than_can_be_told_apart(
    shown: ShownRuns, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(shown.refused) as refused:
        shown.set_visible([f"r{number}" for number in range(MAX_SHOWN + 1)], visible=True)
    assert "At most 64" in refused.args[0] and len(shown.visible) == MAX_SHOWN


def test_that_the_run_that_plots_follow_is_shown_without_its_eye_being_opened(
    shown: ShownRuns,
) -> None:
    shown.set_own("", "Starting", live=True)
    assert [(one.name, one.own, one.live) for one in shown.entries()] == [("Starting", True, True)]
    shown.set_table(table([SLOW]))
    shown.set_own("r3", "Moons", live=False)
    assert [(one.run_id, one.color, one.own) for one in shown.entries()] == [("r3", 3, True)]
    shown.set_visible(["r3"], visible=False)
    assert not shown.is_visible("r3") and not shown.entries()[0].visible
    assert shown.state() == {"visible": []}
