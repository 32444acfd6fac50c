"""Before a run: the tasks behind ``optlab start`` and ``optlab range``, as the window asks them."""

from __future__ import annotations

import numpy as np

from optlab.experiment import Experiment
from optlab.studies.tuning.range_test import RangeProgress, RangeTest, range_test
from optlab.studies.tuning.start_table import start_tables
from optlab.tasks.starting import RangeTask, StartTask
from optlab.training.control import Inbox, Stop

EXPERIMENT = Experiment.from_dict(
    {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [6, 5]},
        "initializer": {"name": "gaussian", "std": 0.3},
    }
)


def test_that_the_experiment_comes_first_and_the_others_one_by_one() -> None:
    task = StartTask(EXPERIMENT.to_toml(), ("he", "orthogonal", "he"))
    results = list(task.run(Inbox()))
    assert [len(result.tables) for result in results] == [1, 2, 3]
    assert results[-1].tables[1:] == tuple(start_tables(EXPERIMENT, ["he", "orthogonal"]))
    own, he = results[-1].tables[:2]
    assert own.initializer == "gaussian" and own.weights[0].std != he.weights[0].std
    stopped = Inbox()
    stopped.put(Stop())
    assert len(list(task.run(stopped))) == 1


def test_that_an_initializer_that_cannot_start_the_model_says_why() -> None:
    (_, last) = StartTask(EXPERIMENT.to_toml(), ("nonsense",)).run(Inbox())
    assert len(last.tables) == 1
    ((name, why),) = last.problems
    assert name == "nonsense" and "no initializer is called that" in why


def test_that_the_range_task_gives_the_range_test_and_stops_when_asked() -> None:
    task = RangeTask(EXPERIMENT.to_toml(), 1e-4, 5.0, 60)
    *progress, found = task.run(Inbox())
    assert isinstance(found, RangeTest)
    assert progress and all(isinstance(one, RangeProgress) for one in progress)
    expected = range_test(EXPERIMENT, 1e-4, 5.0, 60)
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert (found.steepest, found.edge) == (expected.steepest, expected.edge)
    stopped = Inbox()
    stopped.put(Stop())
    assert list(task.run(stopped)) == []
