"""Data and start weights that lines of a script say, instead of numbers beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from optlab.catalogue.datasets.moons import Moons
from optlab.experiment import Experiment
from optlab.scripts.writing import script

SAID = (
    "moons", "circles", "spirals", "gaussian_mixture", "least_squares", "modular_addition",
    "adding_problem", "digits", "iris", "wine", "breast_cancer", "diabetes",
)  # fmt: skip
STARTS = (
    "normalized", "he", "fan_in", "lecun", "gaussian", "uniform", "sparse", "zero",
    "constant",
)  # fmt: skip


def written(**tables: Any) -> set[str]:
    """The names of the numbers that travel beside the script of an experiment."""
    base = {"dataset": {"name": "moons", "size": 60}, "model": {"name": "linear"}}
    return set(script(Experiment.from_dict({**base, **tables}), steps=3).arrays)


@pytest.mark.parametrize("scaling", ["standardize", "unit_range", "neither"])
def test_that_lines_say_data_by_each_scaling(scaling: str) -> None:
    fields = {"standardize": scaling == "standardize", "unit_range": scaling == "unit_range"}
    assert written(dataset={"name": "spirals", "size": 50, **fields}) == set()


@pytest.mark.parametrize("name", SAID)
def test_that_lines_say_a_data_set(name: str) -> None:
    sequences = {"model": {"name": "rnn", "units": 3}} if name == "adding_problem" else {}
    assert written(dataset={"name": name}, **sequences) == set()


@pytest.mark.parametrize("name", STARTS)
def test_that_lines_say_a_start(name: str) -> None:
    model = {"name": "mlp", "hidden": [4, 4], "batch_norm": True, "auxiliary": 0.1}
    assert written(model=model, initializer={"name": name}) == set()


def test_that_gates_start_where_they_are_said_to() -> None:
    data = {"name": "adding_problem", "size": 40, "length": 3}
    lstm = {"name": "lstm", "units": 3}
    assert written(dataset=data, model=lstm, initializer={"bias": 0.5, "gate_bias": 2.0}) == set()


@pytest.mark.parametrize(
    "tables",
    [
        {"initializer": {"name": "batch_scaled"}},
        {
            "initializer": {"name": "orthogonal"},
            "dataset": {"name": "adding_problem", "size": 40, "length": 3},
            "model": {"name": "lstm", "units": 3},
        },
        {"initializer": {"tries": 2}},
        {"initializer": {"output_bias": "marginal"}},
        {"pretraining": {"name": "supervised"}, "model": {"name": "mlp", "hidden": [3]}},
    ],
)
def test_that_a_start_that_takes_more_than_lines_travels(tables: dict[str, Any]) -> None:
    names = written(**tables)
    assert names and all(name.startswith("start/") for name in names)


def test_that_data_which_the_lines_would_not_give_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Moons.load

    def changed(self: Moons) -> Any:
        data = load(self)
        data.training.x[0, 0] += 1e-9
        return data

    monkeypatch.setattr(Moons, "load", changed)
    parts = [f"{axis}_{part}" for axis in "xy" for part in ("train", "validation", "test")]
    assert written(precision="float64") == set(parts)


def test_that_a_stream_travels_with_every_example_of_its_steps() -> None:
    given = Experiment.from_dict(
        {
            "dataset": {"name": "moons", "size": 60},
            "model": {"name": "linear"},
            "batches": {"name": "streaming", "size": 10},
        }
    )
    arrays: dict[str, NDArray[Any]] = dict(script(given, steps=5).arrays)
    assert set(arrays) == {"x_stream", "y_stream"}
    assert len(np.unique(arrays["x_stream"], axis=0)) > 36  # more than the training set has
