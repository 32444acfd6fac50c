"""Tasks that read the store in place of the window."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.tasks.stored_runs import RunCurvesTask, RunListTask
from optlab.tasks.task import Task
from optlab.training.control import Inbox


@pytest.fixture
def run(home, store, experiment, source, monkeypatch) -> str:
    """A finished run in the store of the user."""
    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    writer.record(source().block(1, 20))
    writer.record(source().ended(20))
    writer.close()
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    return writer.run_ids[0]


def _through_a_pipe(task: Task) -> list[Any]:
    """Return the results as a worker sends them."""
    ours, theirs = multiprocessing.Pipe()
    received = []
    for result in task.run(Inbox()):
        theirs.send(result)
        received.append(ours.recv())
    ours.close()
    theirs.close()
    return received


def test_that_the_list_of_runs_crosses_to_another_process(store, run):
    (result,) = _through_a_pipe(RunListTask())
    assert list(result.records) == store.runs() and result.hidden == ""
    assert [record.id for record in result.records] == [run]


def test_that_the_series_of_a_run_cross_to_another_process(source, run):
    (result,) = _through_a_pipe(RunCurvesTask(run[:-1]))
    assert result.record.id == run and result.record.steps == 20
    steps = np.arange(1, 21)
    np.testing.assert_array_equal(result.series["batch_loss"].steps, steps)
    np.testing.assert_array_equal(result.series["batch_loss"].values, source().loss(steps)[:, 0])


def test_that_a_missing_run_is_an_error(run):
    with pytest.raises(InvalidInput, match="no run whose id begins with 'x'"):
        list(RunCurvesTask("x").run(Inbox()))
