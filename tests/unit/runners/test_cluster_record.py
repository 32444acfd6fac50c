"""The record of a job on a cluster: shorter than the events, and stored as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.runners import TrainJob
from optlab.runners.cluster.record import BLOCK_ROWS, EventRecord
from optlab.runners.jobs import perform
from optlab.store import Store
from optlab.training import session
from optlab.training.control import Replay, SetValue, Stop, TakeSnapshot
from optlab.training.events import (
    Event,
    InstrumentCosts,
    InstrumentImage,
    RunEnded,
    Series,
    SeriesBlock,
    SessionEnded,
    SnapshotTaken,
    StepModeChanged,
    WeightPath,
)
from optlab.training.snapshot import Snapshot


def recorded(events: list[Event]) -> list[Event]:
    record = EventRecord()
    for event in events:
        record.add(event)
    return list(record.events())


def block(first: int, last: int, columns: tuple[str, ...] = ()) -> SeriesBlock:
    steps = np.arange(first, last + 1)
    values = steps[:, None].astype(float)
    if columns:
        values = np.repeat(values[:, :, None], len(columns), axis=2)
    sparse = {"b": Series(steps[:1], values[:1] * 2)} if first % 2 else {}
    return SeriesBlock(last, last / 10, {"a": Series(steps, values, columns), **sparse})


def test_that_blocks_that_follow_each_other_become_one():
    (one,) = recorded([block(1, 3), block(4, 4), block(5, 9)])
    assert (one.step, one.seconds) == (9, 0.9)
    np.testing.assert_array_equal(one.series["a"].steps, np.arange(1, 10))
    np.testing.assert_array_equal(one.series["a"].values[:, 0], np.arange(1.0, 10.0))
    np.testing.assert_array_equal(one.series["b"].steps, [1, 5])


def test_that_a_block_ends_where_it_is_long_or_its_columns_change():
    half = BLOCK_ROWS // 2 + 1
    assert len(recorded([block(1, half), block(half + 1, 2 * half)])) == 2
    assert len(recorded([block(2, 3), block(4, 5, ("x", "y"))])) == 2
    assert len(recorded([block(2, 3, ("x", "y")), block(4, 5, ("x", "y"))])) == 1


def test_that_nothing_moves_past_an_event_that_means_something():
    events = [block(1, 2), SnapshotTaken(0, _snapshot("asked")), block(3, 4), block(5, 6)]
    kinds = [type(event).__name__ for event in recorded([*events, SessionEnded()])]
    assert kinds == ["SeriesBlock", "SnapshotTaken", "SeriesBlock", "SessionEnded"]


def _snapshot(reason: str, step: int = 1) -> Snapshot:
    return Snapshot(step, 0.0, np.zeros(3), {}, reason=reason)


def test_that_of_what_replaces_its_former_value_the_last_is_kept():
    events: list[Event] = []
    for step in range(1, 6):
        events += [
            block(step, step),
            InstrumentCosts(step, 0.1, {}),
            StepModeChanged(step, "recorded"),
            *(SnapshotTaken(run, _snapshot("checkpoint", step)) for run in (0, 1)),
            *(InstrumentImage(run, step, "spectrum", {}) for run in (0, 1)),
        ]
    kept = recorded([*events, SessionEnded()])
    assert isinstance(kept[-1], SessionEnded)
    assert [
        (event.run, event.snapshot.step) for event in kept if isinstance(event, SnapshotTaken)
    ] == [(0, 4), (1, 4), (0, 5), (1, 5)]
    assert [(event.run, event.step) for event in kept if isinstance(event, InstrumentImage)] == [
        (0, 5),
        (1, 5),
    ]
    assert [event.step for event in kept if isinstance(event, InstrumentCosts)] == [5]
    assert [event.step for event in kept if isinstance(event, StepModeChanged)] == [5]
    assert recorded(events)[-1] == events[-1]


@pytest.mark.parametrize("stopped", [False, True])
def test_that_a_store_holds_the_same_as_of_the_events_themselves(tmp_path, monkeypatch, stopped):
    monkeypatch.setattr(session, "BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(session, "CHECKPOINT_SECONDS", 0.0)
    document = {
        "dataset": {"name": "moons", "size": 200},
        "model": {"name": "mlp"},
        "optimizer": {"name": "adam"},
        "budget": {"steps": 150},
        "instruments": {"conditioning": {"every": 20}},
    }
    experiments = [Experiment.from_dict({**document, "seed": seed}) for seed in (1, 2)]
    stop = [(90, Stop())] if stopped else []
    log = ((40, TakeSnapshot()), (70, SetValue("optimizer.lr", 0.02)), *stop)
    texts = tuple(experiment.to_toml() for experiment in experiments)
    raw = list(perform(TrainJob(texts, None, log), Replay(())))
    short = recorded(raw)
    assert len(short) < len(raw) / 10
    assert [event for event in short if isinstance(event, RunEnded)] == [
        event for event in raw if isinstance(event, RunEnded)
    ]
    assert sum(isinstance(event, WeightPath) for event in short) <= 4
    first, second = (
        _stored(tmp_path / name, experiments, events)
        for name, events in (("raw", raw), ("short", short))
    )
    assert first.keys() == second.keys() and len(first) > 8
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=str(name))


def _stored(home: Path, experiments: list[Experiment], events: list[Event]) -> dict:
    with Store.open(home) as store:
        writer = store.begin(experiments, "cluster")
        for event in events:
            writer.record(event)
        writer.close()
        found = {}
        for number, run in enumerate(writer.run_ids):
            record = store.run(run)
            assert record.runner == "cluster"
            found[number, "record"] = np.array(
                [record.status, record.steps, record.theta_sha256, record.final], dtype=object
            )
            for name, series in store.series(run).items():
                found[number, name, "steps"] = series.steps
                found[number, name, "values"] = series.values
            for snapshot in store.snapshots(run):
                if snapshot.reason != "checkpoint":  # which of those are written, the clock decides
                    found[number, snapshot.reason] = np.array([snapshot.step])
        return found
