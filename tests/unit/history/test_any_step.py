"""Any step of a stored run: the nearest snapshot, and the same session from there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from optlab.core.errors import InvalidInput, StoreError
from optlab.experiment import Experiment
from optlab.history.plan import plan
from optlab.history.recomputation import Moment, Progress, moment
from optlab.training import session as session_module
from optlab.training.control import (
    Follow,
    Inbox,
    Replay,
    SetValue,
    Stop,
    SwitchInstrument,
    TakeSnapshot,
)
from optlab.training.events import SnapshotTaken
from optlab.training.session import session
from optlab.training.snapshot import INSTRUMENT, Snapshot

LIVE = ((30, SetValue("optimizer.lr", 0.03)), (47, SetValue("batches.size", 5)))
CASES = {
    "momentum": ({}, ()),
    "live changes": ({}, LIVE),
    "adam, cosine": (
        {"optimizer": {"name": "adam"}, "schedule": {"name": "cosine", "tau": 100}},
        ((50, SetValue("schedule.tau", 70)),),
    ),
    "watching": ({"schedule": {"name": "plateau", "patience": 1, "factor": 0.5}}, ()),
    "best kept": ({"stopping": {"name": "early", "patience": 50}}, ()),
    "closures": ({"optimizer": {"name": "lbfgs"}, "batches": {"name": "shuffled", "size": 0}}, ()),
    "streaming": ({"batches": {"name": "streaming", "size": 7}}, LIVE),
    "averaged, late": (
        {"averaging": {"name": "polyak", "begin": 20}, "delay": {"name": "fixed", "steps": 3}},
        (),
    ),
}


def truth(experiment: Experiment, log, step: int) -> Snapshot:
    """The state at a step of a session that is never interrupted."""
    ordered = [*log, (step, TakeSnapshot())]
    for event in session([experiment], Replay(ordered)):
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "asked":
            return event.snapshot
    raise AssertionError("the session has no such step")


@pytest.mark.parametrize("name", CASES)
def test_that_any_step_is_reached_bit_for_bit(lab, name):
    sections, log = CASES[name]
    experiment = lab.experiment(**sections)
    run = lab.train(experiment, sorted([*log, (40, TakeSnapshot())], key=lambda one: one[0]))
    for step in (25, 47, 90):
        found = lab.moment(run, step)
        expected = truth(experiment, log, step)
        assert found.plan.begin == (
            0
            if step < 40
            else 47
            if step == 47 and log == LIVE
            else max(one.step for one in lab.store.snapshots(run) if one.step <= step)
        )
        assert found.exact in (True, None) and found.words == ()
        assert found.snapshot.theta_sha256 == expected.theta_sha256
        assert found.snapshot.state.keys() == expected.state.keys()
        for entry, value in expected.state.items():
            np.testing.assert_array_equal(found.snapshot.state[entry], value)
        assert found.snapshot.values == expected.values
        assert found.snapshot.memory == expected.memory


def test_that_the_stored_snapshot_itself_is_taken_where_there_is_one(lab, monkeypatch):
    run = lab.train(lab.experiment(), [(40, TakeSnapshot()), (60, SetValue("optimizer.lr", 0.2))])
    monkeypatch.setattr("optlab.history.recomputation.session", None)
    assert lab.moment(run, 40).plan.steps == 0
    changed = lab.moment(run, 60).snapshot
    assert changed.reason == "changed" and changed.values == {"optimizer.lr": 0.2}
    assert lab.moment(run, None).plan.step == 120
    assert lab.moment(run, 120).snapshot.theta_sha256 == lab.record(run).theta_sha256


def test_that_instruments_are_left_out_where_only_the_state_is_wanted(lab):
    experiment = lab.experiment(instruments={"distance": {"every": 5}})
    log = [(20, SwitchInstrument("activations", {"every": 7})), (25, Follow(("layers.0.bias[0]",)))]
    run = lab.train(experiment, log)
    whole, light = lab.moment(run, 90), lab.moment(run, 90, whole=False)
    assert light.snapshot.theta_sha256 == whole.snapshot.theta_sha256
    assert any(name.startswith(INSTRUMENT) for name in whole.snapshot.memory)
    assert not any(name.startswith(INSTRUMENT) for name in light.snapshot.memory)


def test_that_a_step_outside_the_run_is_refused(lab):
    run = lab.train(lab.experiment())
    for step in (-1, 121):
        with pytest.raises(InvalidInput, match=r"has 120 steps; choose a step from 0 to 120"):
            plan(lab.store, run, step)
    with pytest.raises(InvalidInput, match="no run whose id begins"):
        plan(lab.store, "nothing", 3)


def test_that_a_damaged_snapshot_is_passed_over_for_an_older_one(lab):
    experiment = lab.experiment()
    run = lab.train(experiment, [(40, TakeSnapshot()), (80, TakeSnapshot())])
    expected = lab.moment(run, 100).snapshot.theta_sha256
    lab.damage(run, lambda step: step == 80)
    found = lab.moment(run, 100)
    assert found.plan.begin == 40 and found.snapshot.theta_sha256 == expected
    assert "the snapshot of step 80 is damaged" in found.words[0]
    # Even the end, and with nothing to begin at: from the run's own start.
    lab.damage(run, lambda step: step != 80)
    found = lab.moment(run, 120)
    assert found.plan.start is None and len(found.words) == 4
    assert found.snapshot.theta_sha256 == lab.record(run).theta_sha256


def test_that_other_numbers_than_the_recorded_ones_are_said(lab):
    run = lab.train(lab.experiment(), [(40, TakeSnapshot())])
    found = plan(lab.store, run, 60)
    other = lab.experiment(optimizer={"name": "momentum", "lr": 0.0100001})
    *_, last = moment(found, other, lab.store, Inbox())
    assert last.exact is False and "gave other losses than were recorded" in last.words[-1]


def test_that_it_can_be_cancelled_and_says_how_far_it_has_come(lab, monkeypatch):
    monkeypatch.setattr(session_module, "BLOCK_SECONDS", 0.0)
    run = lab.train(lab.experiment(budget={"steps": 200}))
    found = plan(lab.store, run, 150)
    given = Experiment.from_toml(found.record.experiment)
    inbox = Inbox()
    results = moment(found, given, lab.store, inbox)
    first = next(results)
    assert isinstance(first, Progress) and first.step == 1 and 0.0 < first.done < 0.1
    inbox.put(Stop())
    assert not any(isinstance(result, Moment) for result in results)


def test_that_the_cost_is_what_the_run_took_for_these_steps(lab):
    run = lab.train(lab.experiment(), [(60, TakeSnapshot())])
    found = plan(lab.store, run, 90)
    noted = lab.store.series_between(run, "seconds", 60, 90)
    assert noted is not None and noted.steps[0] == 60 and noted.steps[-1] == 90
    assert found.cost == pytest.approx(noted.values[-1].item() - noted.values[0].item())
    assert 0.0 < found.cost < lab.record(run).seconds
    assert dataclasses.replace(found, cost=0.9).announcement == ""
    slow = dataclasses.replace(found, cost=12.4)
    assert slow.announcement == (
        "Step 90 is computed again from the snapshot of step 60: 30 steps, about 12 s."
    )


def test_that_a_time_limit_does_not_end_the_recomputation(lab, monkeypatch):
    experiment = lab.experiment(budget={"steps": 10**6, "seconds": 0.3})
    run = lab.train(experiment)
    last = lab.record(run).steps
    assert lab.moment(run, last - 1).exact is not False
    lab.damage(run, lambda step: step > 0)
    assert lab.moment(run, last).snapshot.theta_sha256 == lab.record(run).theta_sha256


def test_that_a_step_that_cannot_be_reached_is_an_error(lab):
    run = lab.train(lab.experiment(), [(40, TakeSnapshot())])
    found = plan(lab.store, run, 110)
    shorter = lab.experiment(budget={"steps": 50})
    with pytest.raises(StoreError, match=r"cannot be computed again up to step 110: it ends"):
        list(moment(found, shorter, lab.store, Inbox()))


def test_that_a_run_of_a_population_is_reached_to_rounding(lab):
    members = [lab.experiment(seed=seed, precision="float64") for seed in (1, 2)]
    writer = lab.store.begin(members, "thread")
    kept = {}
    log = [(40, TakeSnapshot()), (90, TakeSnapshot())]
    for event in session(members, Replay(log)):
        writer.record(event)
        if isinstance(event, SnapshotTaken) and event.snapshot.step == 90:
            kept[event.run] = event.snapshot
    writer.close()
    for record in lab.store.snapshots(writer.run_ids[1]):
        if record.step == 90:
            (lab.store.home / "snapshots" / writer.run_ids[1] / record.file).unlink()
    found = lab.moment(writer.run_ids[1], 90)
    assert found.plan.begin < 90
    np.testing.assert_allclose(found.snapshot.theta, kept[1].theta, rtol=1e-10, atol=1e-12)
