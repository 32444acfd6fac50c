"""The path of a run's weights is kept for drawing; one that is lost or damaged counts as none."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.store import Store, weight_paths
from optlab.training.control import SetValue
from optlab.training.events import MessageApplied, SessionEnded, SessionFailed, WeightPath

MOVED = ("layers.0.weight[0,1]", "layers.0.bias[2]")


def path_until(step: int, points: int = 5) -> WeightPath:
    steps = np.linspace(0, step, points).astype(np.int64)
    generator = np.random.default_rng(step)
    return WeightPath(
        run=0,
        steps=steps,
        plane=generator.normal(size=(points, 2)),
        explained=np.array([0.75, 0.2]),
        off_plane=generator.random(points),
        moved=MOVED,
        values=generator.normal(size=(points, len(MOVED))),
    )


def assert_same(found: WeightPath | None, expected: WeightPath) -> None:
    assert found is not None
    for field in dataclasses.fields(WeightPath):
        value, wanted = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(wanted, np.ndarray):
            assert value.dtype == wanted.dtype
            np.testing.assert_array_equal(value, wanted)
        else:
            assert value == wanted


def recorded(store: Store, experiment: Experiment, source: Any, *after: Any) -> str:
    """Record 80 steps with a path, and what comes after; the run's id."""
    writer = store.begin([experiment], "thread")
    one = source()
    for event in (one.started(), one.block(1, 80), path_until(40), path_until(80), *after):
        writer.record(event)
    writer.close()
    return str(writer.run_ids[0])


def stored(store: Store, run: str) -> WeightPath | None:
    return store.weight_path(store.run(run))


@pytest.mark.parametrize(
    "after",
    [
        lambda source: (source.ended(80), SessionEnded()),
        lambda source: (SessionFailed("A worker was killed."),),
        lambda source: (source.kept(80),),
    ],
    ids=["ended", "failed", "at a snapshot"],
)
def test_that_the_newest_path_is_kept(
    store: Store, experiment: Experiment, source: Any, after: Callable[[Any], tuple[Any, ...]]
) -> None:
    run = recorded(store, experiment, source, *after(source()))
    assert_same(stored(store, run), path_until(80))


def test_that_of_several_runs_none_is_kept(
    store: Store, experiment: Experiment, source: Any
) -> None:
    """One of them is followed: the others would seem to lack what this one has."""
    writer = store.begin([experiment, experiment], "thread")
    two = source(2)
    for event in (two.started(), two.block(1, 80), path_until(80), SessionEnded()):
        writer.record(event)
    writer.close()
    assert [stored(store, run) for run in writer.run_ids] == [None, None]


def test_that_a_change_at_the_end_leaves_the_path(
    store: Store, home: Path, experiment: Experiment, source: Any
) -> None:
    run = recorded(store, experiment, source, source().kept(80))
    writer = store.resume([run])
    step = writer.snapshots[0].step
    writer.record(source().started(step))
    writer.record(MessageApplied(step, SetValue("optimizer.lr", 0.125)))
    writer.close()
    assert stored(store, run) is not None, "nothing was cut off"
    # One that leads beyond the steps of the run is of another course.
    record = store.run(run)
    assert weight_paths.read(home, run, record.steps - 1) is None
    weight_paths.remove(home, run)
    weight_paths.remove(home, run)
    assert stored(store, run) is None


def test_that_a_change_below_stored_steps_removes_the_path(
    store: Store, experiment: Experiment, source: Any
) -> None:
    run = recorded(store, experiment, source, source().kept(50))
    assert stored(store, run) is not None
    writer = store.resume([run])
    writer.record(source().started(50))
    writer.record(source().block(51, 55))
    writer.record(MessageApplied(55, SetValue("optimizer.lr", 0.125)))
    writer.close()
    assert store.run(run).steps == 55
    assert stored(store, run) is None


def changed(**changes: Any) -> Callable[[Path, str], None]:
    def write(home: Path, run: str) -> None:
        weight_paths.write(home, run, dataclasses.replace(path_until(80), **changes))

    return write


def flip(home: Path, run: str) -> None:
    file = home / "snapshots" / run / weight_paths.FILE
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def cut(home: Path, run: str) -> None:
    file = home / "snapshots" / run / weight_paths.FILE
    file.write_bytes(file.read_bytes()[:40])


def foreign(home: Path, run: str) -> None:
    data = b"no tensors at all"
    file = home / "snapshots" / run / weight_paths.FILE
    file.write_bytes(hashlib.sha256(data).digest() + data)


def huge(home: Path, run: str) -> None:
    with (home / "snapshots" / run / weight_paths.FILE).open("r+b") as file:
        file.truncate(1 << 30)


def folder(home: Path, run: str) -> None:
    file = home / "snapshots" / run / weight_paths.FILE
    file.unlink()
    file.mkdir()


def pipe(home: Path, run: str) -> None:
    file = home / "snapshots" / run / weight_paths.FILE
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        cut,
        foreign,
        huge,
        folder,
        pipe,
        changed(steps=np.array([0, 20, 20, 60, 80])),
        changed(steps=np.arange(5.0)),
        changed(steps=np.arange(4)),
        changed(plane=np.zeros((5, 3))),
        changed(explained=np.zeros(3)),
        changed(off_plane=np.zeros(4)),
        changed(values=np.zeros((5, 3))),
        changed(moved=("a", 2)),
        changed(
            steps=np.empty(0, dtype=np.int64),
            plane=np.empty((0, 2)),
            off_plane=np.empty(0),
            values=np.empty((0, 2)),
        ),
    ],
)
def test_that_what_is_damaged_counts_as_none(
    store: Store,
    home: Path,
    experiment: Experiment,
    source: Any,
    damage: Callable[[Path, str], None],
) -> None:
    run = recorded(store, experiment, source, source().kept(80))
    damage(home, run)
    assert stored(store, run) is None


def test_that_a_deleted_run_leaves_no_path(
    store: Store, home: Path, experiment: Experiment, source: Any
) -> None:
    run = recorded(store, experiment, source, source().ended(80), SessionEnded())
    assert (home / "snapshots" / run / weight_paths.FILE).exists()
    store.delete(run)
    assert not (home / "snapshots" / run).exists()
