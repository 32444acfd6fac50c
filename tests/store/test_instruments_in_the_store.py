"""Readings of instruments are stored as other series are, and a run that goes on takes them as if
it had not stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.runners import resume, train
from optlab.store import Store, controls
from optlab.store.series_groups import SeriesGroups
from optlab.training.control import Message, Stop, SwitchInstrument
from optlab.training.events import RunEnded, Series

ASKED: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "budget": {"steps": 120},
    "instruments": {"distance": {"every": 10}, "gradients_by_layer": {"every": 15}},
}


def finished(owner: Any) -> dict[int, RunEnded]:
    received = []
    while owner.wait(60) and (events := owner.drain()):
        received += events
    assert owner.join(60)
    return {event.run: event for event in received if isinstance(event, RunEnded)}


def test_that_the_names_of_several_numbers_are_those_of_the_series() -> None:
    values = np.arange(12.0).reshape(2, 2, 3)
    (packed,) = SeriesGroups().pack(
        {"a.b": Series(np.array([1, 2]), values, ("x", "y", "z"))}, ("w[0]", "w[1]", "w[2]")
    )
    assert packed.specs == (("a.b", ("x", "y", "z")),)
    np.testing.assert_array_equal(packed.table[1, 1:], values[:, 1].T)


@pytest.mark.parametrize(
    "message",
    [SwitchInstrument("spectrum", {"every": 5, "top": 2}), SwitchInstrument("spectrum", None)],
)
def test_that_a_switch_is_written_and_read(message: Message) -> None:
    assert controls.from_json(controls.to_json(message)) == message
    assert controls.replayable(message)


def test_that_of_the_switches_before_a_snapshot_the_last_of_each_instrument_stands() -> None:
    on, off, other = (
        SwitchInstrument("a", {}),
        SwitchInstrument("a", None),
        SwitchInstrument("b", {}),
    )
    assert controls.persistent_messages([(1, on), (2, other), (3, off), (9, on)], 5) == [
        (5, off),
        (5, other),
    ]


def test_that_a_stopped_run_goes_on_with_its_instruments(tmp_path: Path) -> None:
    experiment = Experiment.from_dict(ASKED)
    switches: list[tuple[int, Message]] = [
        (20, SwitchInstrument("update_ratio", {"every": 4})),
        (30, SwitchInstrument("gradients_by_layer", None)),
        (90, SwitchInstrument("update_ratio", None)),
    ]
    whole = train([experiment], store=tmp_path, runner="thread", log=switches)
    expected = finished(whole)[0]
    first = train([experiment], store=tmp_path, runner="thread", log=[*switches[:2], (61, Stop())])
    assert finished(first)[0].status == "stopped"
    again = resume(first.run_ids, store=tmp_path, runner="thread", log=switches[2:])
    result = finished(again)[0]
    plain = train(
        [Experiment.from_dict({**ASKED, "instruments": {}})], store=tmp_path, runner="thread"
    )
    assert result.theta_sha256 == expected.theta_sha256 == finished(plain)[0].theta_sha256
    with Store.open(tmp_path) as store:
        one, two = store.series(whole.run_ids[0]), store.series(first.run_ids[0])
    assert {name for name in one if "." in name} == {name for name in two if "." in name}
    for name in one:
        if "." in name:
            np.testing.assert_array_equal(one[name].steps, two[name].steps, err_msg=name)
            np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-6, err_msg=name)
            assert one[name].columns == two[name].columns
    assert one["distance.length"].steps.tolist() == list(range(10, 121, 10))
    assert one["gradients_by_layer.norm"].steps.tolist() == [15, 30]
    assert one["update_ratio.ratio"].steps.tolist() == list(range(24, 91, 4))
