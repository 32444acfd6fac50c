"""A run that was stopped and goes on gives, bit for bit, what it would have given without the stop."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.runners import resume, train
from optlab.store import Store
from optlab.training.control import SetValue, Stop
from optlab.training.events import RunEnded

_DIGITS = {
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "optimizer": {"name": "nesterov"},
    "budget": {"steps": 240},
}


def _end(owner) -> dict[int, RunEnded]:
    received = []
    while owner.wait(60) and (events := owner.drain()):
        received += events
    assert owner.join(60)
    return {event.run: event for event in received if isinstance(event, RunEnded)}


@pytest.mark.parametrize(
    "changes",
    [(), ((80, SetValue("optimizer.lr", 0.03)), (170, SetValue("optimizer.momentum", 0.5)))],
)
def test_that_a_stopped_run_goes_on_bit_for_bit(tmp_path, changes):
    experiment = Experiment.from_dict(_DIGITS)
    whole = train([experiment], store=tmp_path, runner="thread", log=changes)
    expected = _end(whole)[0]
    early, late = (
        [entry for entry in changes if entry[0] < 101],
        [entry for entry in changes if entry[0] > 101],
    )
    first = train([experiment], store=tmp_path, runner="thread", log=[*early, (101, Stop())])
    assert _end(first)[0].status == "stopped"
    again = resume(first.run_ids, store=tmp_path, runner="thread", log=late)
    result = _end(again)[0]
    assert result.status == "finished"
    assert result.theta_sha256 == expected.theta_sha256 and result.final == expected.final
    with Store.open(tmp_path) as store:
        one, two = store.series(whole.run_ids[0]), store.series(first.run_ids[0])
        for name in ("batch_loss", "gradient_norm", "learning_rate", "weights"):
            np.testing.assert_array_equal(one[name].steps, two[name].steps)
            np.testing.assert_array_equal(one[name].values, two[name].values)
        assert [
            entry for entry in store.controls(first.run_ids[0]) if not isinstance(entry[1], Stop)
        ] == list(changes)
    with pytest.raises(InvalidInput, match="finished"):
        resume(first.run_ids, store=tmp_path)


def test_that_a_stopped_population_goes_on_together_bit_for_bit(tmp_path):
    experiments = [Experiment.from_dict({**_DIGITS, "seed": seed}) for seed in range(3)]
    change = (150, SetValue("optimizer.lr", 0.02, 1))
    expected = _end(train(experiments, store=tmp_path, runner="thread", log=[change]))
    first = train(experiments, store=tmp_path, runner="thread", log=[(101, Stop())])
    assert {event.status for event in _end(first).values()} == {"stopped"}
    second = resume(first.run_ids, store=tmp_path, runner="thread", log=[change])
    assert {run: event.status for run, event in _end(second).items()} == dict.fromkeys(
        range(3), "finished"
    )
    with Store.open(tmp_path) as store:
        for row, run in enumerate(first.run_ids):
            assert store.run(run).theta_sha256 == expected[row].theta_sha256
            np.testing.assert_array_equal(store.series(run)["batch_loss"].steps, np.arange(1, 241))
        assert [len(store.controls(run)) for run in first.run_ids] == [1, 2, 1]
