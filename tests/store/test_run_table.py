"""The table of runs: what is read of thousands of runs, how it follows changes, and filters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.store.labels import Labels
from optlab.tasks.run_filter import RunFilter
from optlab.tasks.run_labels import LabelRunsTask, MarkDeletedTask
from optlab.tasks.run_table import RunChangesTask, RunTable, RunTableTask, shown_names
from optlab.training.control import Inbox

Make = Callable[..., str]


@pytest.fixture
def make(home, store: Store, experiment: Experiment, source, monkeypatch) -> Make:
    """Store a finished run of the user."""
    monkeypatch.setenv("OPTLAB_HOME", str(home))

    def build(**changes: Any) -> str:
        with closing(
            store.begin([experiment.with_values({"title": "Moons", **changes})], "thread")
        ) as writer:
            writer.record(source().started())
            writer.record(source().block(1, 20))
            writer.record(source().ended(20))
        return writer.run_ids[0]

    return build


def done(task: Any) -> Any:
    (result,) = task.run(Inbox())
    return result


def test_that_names_say_what_distinguishes_runs_of_a_title(make: Make) -> None:
    slow, fast = make(**{"optimizer.lr": 0.01}), make(**{"optimizer.lr": 0.1})
    other = make(title="Another")
    table: RunTable = done(RunTableTask())
    assert list(table.rows) == [other, fast, slow]
    assert table.names[other] == "Another"
    assert table.names[slow].endswith(" 0.01") and table.names[fast].endswith(" 0.1")
    rows = [table.rows[run] for run in (slow, fast)]
    assert [name.rpartition(" ")[2] for name in shown_names(rows)] == ["0.01", "0.1"]


def test_that_equal_runs_and_own_names_stay_apart(make: Make) -> None:
    one, two, named = make(), make(), make()
    done(LabelRunsTask({named: Labels(name="mine")}))
    table: RunTable = done(RunTableTask())
    names = shown_names([table.rows[run] for run in (one, two, named)])
    assert names == [f"Moons · {one[-4:]}", f"Moons · {two[-4:]}", "mine"]
    assert shown_names([table.rows[one]]) == ["Moons"]


def test_that_changes_are_those_that_happened(make: Make, store: Store) -> None:
    first, second = make(), make(seed=2)
    table: RunTable = done(RunTableTask())
    assert done(RunChangesTask(table)) is None
    third = make(seed=3)
    store.label({first: Labels(name="renamed")})
    changed: RunTable = done(RunChangesTask(table))
    assert list(changed.rows) == [third, second, first]
    assert changed.rows[first].record.name == "renamed"
    assert changed.rows[second] is table.rows[second], "it was not read again"
    assert changed.names[third].endswith("seed 3")
    done(MarkDeletedTask((second,)))
    after: RunTable = done(RunChangesTask(changed))
    assert list(after.rows) == [third, first]
    done(MarkDeletedTask((second,), deleted=False))
    assert list(done(RunChangesTask(after)).rows) == [third, second, first]
    assert list(done(RunTableTask()).rows) == [third, second, first]


def test_that_a_run_whose_process_died_is_shown_as_interrupted(
    make: Make, store: Store, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    with closing(store.begin([experiment], "thread")) as writer:
        table: RunTable = done(RunTableTask())
        (run,) = writer.run_ids
        assert table.rows[run].record.status == "running"
        for module in ("optlab.tasks.run_table", "optlab.store.opened_store"):
            monkeypatch.setattr(f"{module}.is_held", lambda *_: False)
        assert done(RunChangesTask(table)).rows[run].record.status == "interrupted"
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "sf"),
        ("lr<0.05", "s"),
        ("optimizer.lr>=0.1", "f"),
        ("lr!=0.1", "s"),
        ("Quick", "f"),
        ("-quick", "s"),
        ("tag=keep", "f"),
        ("status=finished moons", "sf"),
        ("steps>20", ""),
        ("nothing=1", ""),
        ("nothing<1", ""),
        ('"quick one"', "f"),
        ('"quick', "f"),
        ("model.name=mlp dataset.name=iris", ""),
    ],
)
def test_that_a_filter_lists_what_it_says(make: Make, text: str, expected: str) -> None:
    runs = {"s": make(**{"optimizer.lr": 0.01}), "f": make(**{"optimizer.lr": 0.1})}
    done(LabelRunsTask({runs["f"]: Labels(name="Quick one", tags=("keep",))}))
    table: RunTable = done(RunTableTask())
    chosen = RunFilter.of(text)
    assert {key for key, run in runs.items() if chosen.matches(table.rows[run])} == set(expected)


def test_that_a_filter_that_compares_with_a_word_says_so() -> None:
    with pytest.raises(InvalidInput, match="not a number"):
        RunFilter.of("lr<much")


def test_that_labels_are_undone(make: Make, store: Store) -> None:
    run = make()
    done(LabelRunsTask({run: Labels(name="a", tags=("x",))}))
    before = done(LabelRunsTask({run: Labels(name="b", starred=True, add_tags=("y",))}))
    done(LabelRunsTask(before))
    record = store.run(run)
    assert (record.name, record.starred, record.tags) == ("a", False, ("x",))
