"""Series of many runs, and their steps in epochs, examples, evaluations and seconds."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.tasks.run_scales import RunScale, StepScale
from optlab.tasks.run_series import RunSeriesTask
from optlab.training.control import Inbox, SetValue
from optlab.training.events import MessageApplied, Series, SeriesBlock


@pytest.fixture
def runs(home, store: Store, experiment: Experiment, source, monkeypatch) -> list[str]:
    """Two runs: one as it began, one whose batches became twice as large at step 10."""
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    ids = []
    for changed in (False, True):
        with closing(store.begin([experiment], "thread")) as writer:
            writer.record(source().started())
            writer.record(source().block(1, 10))
            if changed:
                writer.record(MessageApplied(10, SetValue("batches.size", 64.0), ""))
            writer.record(source().kept(10))
            writer.record(source().block(11, 30))
            writer.record(source().ended(30))
        ids += writer.run_ids
    return ids


def test_that_series_of_runs_are_those_of_each_and_go_on_after_a_step(
    store: Store, runs: list[str]
) -> None:
    (found,) = RunSeriesTask({runs[0]: 0, runs[1]: 25, "x": 0}, frozenset({"batch_loss"})).run(
        Inbox()
    )
    assert set(found) == set(runs)
    whole = store.series(runs[0])["batch_loss"]
    np.testing.assert_array_equal(found[runs[0]].series["batch_loss"].values, whole.values)
    assert found[runs[1]].series["batch_loss"].steps.tolist() == [26, 27, 28, 29, 30]


def test_that_steps_are_epochs_and_examples_with_changes_of_the_batch(runs: list[str]) -> None:
    (found,) = RunSeriesTask(dict.fromkeys(runs, 0), frozenset()).run(Inbox())
    plain, changed = (found[run].scale for run in runs)
    # Ten steps an epoch of 320 examples; from step 10 on two batches of the first kind in one.
    for scale, epochs in ((plain, [0.5, 1.0, 2.0]), (changed, [0.5, 1.0, 3.0])):
        to_epochs, to_examples = scale.scale("epochs"), scale.scale("examples")
        assert to_epochs is not None and to_examples is not None
        np.testing.assert_allclose(to_epochs.at([5, 10, 20]), epochs)
        np.testing.assert_allclose(to_examples.at([5, 10, 20]), np.array(epochs) * 320)
    seconds = plain.scale("seconds")
    assert seconds is not None
    np.testing.assert_allclose(seconds.at([5, 10]), [0.005, 0.01])
    evaluations = plain.scale("evaluations")
    assert evaluations is not None and evaluations.at([7])[0] == 7.0


def test_that_a_scale_is_its_own_inverse_and_goes_on_beyond_its_ends() -> None:
    scale = StepScale.of([0, 10, 10, 20, 30], [0.0, 5.0, 5.0, 5.0, 25.0])
    at = np.array([-4.0, 0.0, 3.0, 10.0, 25.0, 60.0])
    np.testing.assert_allclose(scale.back(scale.at(at)), at)
    assert scale.at([40])[0] == pytest.approx(35.0)


def test_that_what_is_not_known_has_no_scale() -> None:
    unknown = RunScale()
    assert unknown.scale("epochs") is None and unknown.scale("seconds") is None
    assert unknown.scale("steps") is not None


def test_that_the_time_of_every_step_is_the_axis_and_goes_on_where_more_is_read() -> None:
    noted = np.array([0.5, 0.7, 4.0, 4.1])
    whole = RunScale(
        seconds=[(0.0, 0.0), (2.0, 1.9), (4.0, 4.1), (6.0, 5.1)],
        clock=(np.array([1.0, 2.0, 3.0, 4.0]), noted),
    )
    axis = whole.scale("seconds")
    assert axis is not None
    # Not what the snapshot of step 2 says in passing, but what was noted; linear beyond.
    np.testing.assert_allclose(axis.at([1, 2, 3, 4, 5, 6]), [*noted, 4.6, 5.1])
    first = RunScale(clock=(np.array([1.0, 2.0]), noted[:2]))
    rest = RunScale(seconds=whole.seconds, epoch_steps=7, clock=(np.array([3.0, 4.0]), noted[2:]))
    joined = rest.going_on(first)
    assert joined.epoch_steps == 7
    np.testing.assert_array_equal(joined.scale("seconds").at([1, 2, 3, 4]), noted)
    np.testing.assert_array_equal(first.going_on(RunScale()).clock[1], noted[:2])
    np.testing.assert_array_equal(RunScale().going_on(first).clock[1], noted[:2])
    many = np.arange(1.0, 200_001.0)
    thinned = RunScale().going_on(RunScale(clock=(many, many))).clock
    assert len(thinned[0]) < 40_000 and thinned[0][-1] == 200_000.0


def test_that_the_stored_time_of_every_step_is_that_axis(
    home, store: Store, experiment: Experiment, source, monkeypatch
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    noted = np.array([0.5, 0.7, 4.0, 4.1])
    with closing(store.begin([experiment], "thread")) as writer:
        writer.record(source().started())
        for first in (1, 3):
            steps = np.arange(first, first + 2)
            values = {"seconds": Series(steps, noted[first - 1 : first + 1, None])}
            values["batch_loss"] = Series(steps, np.ones((2, 1)))
            writer.record(SeriesBlock(first + 1, noted[first], values))
        (run,) = writer.run_ids
    names = frozenset({"batch_loss"})
    (found,) = RunSeriesTask({run: 0}, names).run(Inbox())
    np.testing.assert_array_equal(found[run].scale.scale("seconds").at([1, 2, 3, 4]), noted)
    assert set(found[run].series) == names
    (later,) = RunSeriesTask({run: 2}, names).run(Inbox())
    np.testing.assert_array_equal(later[run].scale.clock, [[3.0, 4.0], noted[2:]])
