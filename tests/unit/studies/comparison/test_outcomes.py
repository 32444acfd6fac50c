"""What is measured of a run, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from optlab.studies.comparison import reading
from optlab.studies.comparison.choosing import choose, setting_of
from optlab.studies.comparison.fields import Measured
from optlab.studies.comparison.outcomes import UNKNOWN, Outcome, bounded, outcome, series_of
from optlab.studies.comparison.readings import (
    SeriesValues,
    agreement,
    one_number,
    order,
    when,
)


@dataclass(frozen=True)
class Run:
    """A stored run with one series."""

    steps: tuple[int, ...] = (0, 10, 20, 30)
    values: tuple[float, ...] = (4.0, 1.0, 2.0, 3.0)
    final: Mapping[str, float | None] = field(default_factory=dict)
    diverged: bool = False
    taken: int = 30


@dataclass(frozen=True)
class Stored:
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def value_of(run: Run, **fields: Any) -> Outcome:
    measured = Measured.build({"of": "train_loss", **fields}, "measure")
    series = {"train_loss": Stored(np.array(run.steps), np.array(run.values, float))}
    return outcome(
        measured,
        series,
        run.final,
        diverged=run.diverged,
        steps=run.taken,
        seconds=6.0,
        steps_per_epoch=4,
    )


def exactly(value: float) -> Outcome:
    return Outcome(value, value)


def test_that_the_final_value_is_that_of_the_end_or_else_the_last_of_the_series() -> None:
    assert value_of(Run(final={"train_loss": 2.5})) == exactly(2.5)
    assert value_of(Run()) == exactly(3.0)
    assert value_of(Run(final={"train_loss": None})) == exactly(3.0)


def test_that_the_best_value_depends_on_which_side_is_better() -> None:
    assert value_of(Run(), what="best") == exactly(1.0)
    assert value_of(Run(), what="best", reached="above") == exactly(4.0)


@pytest.mark.parametrize("step, value", [(0, 4.0), (9, 4.0), (10, 1.0), (29, 2.0), (99, 3.0)])
def test_that_the_value_at_a_step_is_the_last_one_until_then(step: int, value: float) -> None:
    assert value_of(Run(), what="at", step=step) == exactly(value)


def test_that_the_mean_weighs_values_by_the_steps_between_them() -> None:
    run = Run(steps=(0, 10, 40), values=(4.0, 2.0, 2.0))
    assert value_of(run, what="mean").low == pytest.approx((3.0 * 10 + 2.0 * 30) / 40)


@pytest.mark.parametrize("target, step", [(4.0, 0), (1.5, 10), (1.0, 10)])
def test_that_a_target_is_reached_at_the_first_value_at_or_below_it(
    target: float, step: int
) -> None:
    assert value_of(Run(), what="steps_to", target=target) == exactly(float(step))
    assert value_of(Run(), what="epochs_to", target=target) == exactly(step / 4)


def test_that_a_target_above_is_reached_from_below() -> None:
    run = Run(values=(1.0, 2.0, 3.0, 4.0))
    assert value_of(run, what="steps_to", target=3.0, reached="above") == exactly(20.0)


def test_that_a_missed_target_is_censored_where_the_run_ended() -> None:
    assert value_of(Run(), what="steps_to", target=0.5) == Outcome(30.0, math.inf)
    assert value_of(Run(values=(math.nan,) * 4), what="steps_to", target=9.0).high == math.inf


def test_that_a_run_that_diverged_is_worse_than_any_other() -> None:
    diverged = Run(diverged=True, final={"train_loss": 0.1})
    assert value_of(diverged) == exactly(math.inf)
    assert value_of(diverged, reached="above") == exactly(-math.inf)
    # What it reached before it diverged counts.
    assert value_of(diverged, what="steps_to", target=1.0) == exactly(10.0)
    assert value_of(diverged, what="steps_to", target=0.5) == exactly(math.inf)


def test_that_what_was_not_measured_is_unknown() -> None:
    assert value_of(Run(values=(math.nan,) * 4)) == UNKNOWN
    assert value_of(Run(values=(math.nan,) * 4), what="best") == UNKNOWN
    measured = Measured.build({"of": "risk_loss"}, "measure")
    found = outcome(measured, {}, {}, diverged=False, steps=3, seconds=1.0, steps_per_epoch=1)
    assert found == UNKNOWN


def test_that_diverged_runs_count_as_at_least_the_worst_known_value() -> None:
    found = bounded([exactly(1.0), exactly(math.inf), Outcome(7.0, math.inf), UNKNOWN])
    assert found == [exactly(1.0), Outcome(7.0, math.inf), Outcome(7.0, math.inf), UNKNOWN]
    assert bounded([exactly(2.0), exactly(-math.inf)]) == [exactly(2.0), Outcome(-math.inf, 2.0)]
    assert bounded([exactly(math.inf)] * 2) == [UNKNOWN] * 2


def test_that_evaluations_and_seconds_to_a_target_are_counted() -> None:
    counted = {
        "train_loss": Stored(np.array([0, 10, 20]), np.array([4.0, 1.0, 0.5])),
        "gradient_evaluations": Stored(
            np.array([5, 10, 15, 20]), np.array([9.0, 20.0, 31.0, 42.0])
        ),
    }

    def found(what: str, target: float, series: Any = counted) -> Outcome:
        measured = Measured.build({"what": what, "of": "train_loss", "target": target}, "measure")
        return outcome(
            measured, series, {}, diverged=False, steps=20, seconds=6.0, steps_per_epoch=1
        )

    assert found("evaluations_to", 1.0) == exactly(20.0)
    assert found("evaluations_to", 4.0) == exactly(0.0)
    assert found("evaluations_to", 0.1) == Outcome(42.0, math.inf)
    # A run without the series evaluates one gradient a step.
    alone = {"train_loss": counted["train_loss"]}
    assert found("evaluations_to", 1.0, alone) == exactly(10.0)
    assert found("seconds_to", 1.0) == exactly(3.0)
    assert found("seconds_to", 0.1) == Outcome(6.0, math.inf)
    # A run that notes the time of each step: the first steps were slower.
    timed = counted | {"seconds": Stored(np.arange(1, 21), np.arange(1, 21) * 0.1 + 2.0)}
    assert found("seconds_to", 1.0, timed) == exactly(3.0)
    assert found("seconds_to", 4.0, timed) == exactly(0.0)
    assert found("seconds_to", 0.5, timed) == exactly(4.0)
    assert found("seconds_to", 0.1, timed) == Outcome(6.0, math.inf)


def test_that_counted_series_are_read_beside_the_measure() -> None:
    assert series_of(Measured.build({"of": "train_loss"}, "measure")) == ("train_loss",)
    counted = Measured.build({"what": "evaluations_to", "of": "train_loss"}, "measure")
    assert series_of(counted) == ("train_loss", "gradient_evaluations")


# --- tuning ---------------------------------------------------------------------------------------


def _study(**tune: Any) -> Any:
    return reading.from_dict(
        {
            "base": "iris-softmax",
            "arms": {"a": {}, "b": {"optimizer": {"name": "momentum"}}},
            "measure": {"of": "validation_error"},
            "tune": {"optimizer.lr": [0.1, 0.2, 0.3], "by": "validation_loss", **tune},
        }
    )


def _values(a: list[list[float]]) -> dict[Any, list[float]]:
    return {
        (arm, (("optimizer.lr", rate),)): values
        for arm in ("a", "b")
        for rate, values in zip([0.1, 0.2, 0.3], a, strict=True)
    }


def _chosen(study: Any, values: list[list[float]]) -> float:
    tried = choose(study, _values(values))
    (best,) = [one for one in tried["a"] if one.chosen]
    return float(best.setting["optimizer.lr"])


def test_that_the_setting_with_the_best_mean_is_chosen() -> None:
    values = [[1.0, 9.0], [4.0, 4.0], [6.0, 6.0]]
    assert _chosen(_study(seeds=2), values) == 0.2
    assert _chosen(_study(seeds=2, goal="highest"), values) == 0.3


def test_that_a_setting_that_failed_once_is_not_chosen() -> None:
    assert _chosen(_study(seeds=2), [[0.1, math.nan], [4.0, 4.0], [6.0, 6.0]]) == 0.2
    assert (
        _chosen(_study(seeds=2, goal="highest"), [[9.9, math.nan], [4.0, 4.0], [1.0, 1.0]]) == 0.2
    )
    assert _chosen(_study(seeds=1), [[math.nan]] * 3) == 0.1


def test_that_every_seed_has_the_setting_that_was_best_on_its_own_tuning_seeds() -> None:
    # Two tuning seeds for each of three seeds; the last setting fails on one of the third's.
    values = [
        [1.0, 1.0, 5.0, 5.0, 3.0, 3.0],
        [2.0, 2.0, 1.0, 1.0, 4.0, 4.0],
        [3.0, 3.0, 0.0, 9.0, 0.0, math.nan],
    ]
    tried = choose(_study(seeds=2, each=True), _values(values))["a"]
    assert [one.seeds for one in tried] == [(0, 2), (1,), ()]
    assert [one.chosen for one in tried] == [True, False, False]
    rates = [setting_of(tried, seed)["optimizer.lr"] for seed in range(3)]
    assert rates == [0.1, 0.2, 0.1]


def test_that_all_seeds_have_the_chosen_setting_where_tuning_is_done_once() -> None:
    tried = choose(_study(seeds=2), _values([[1.0, 9.0], [4.0, 4.0], [6.0, 6.0]]))["a"]
    assert {setting_of(tried, seed)["optimizer.lr"] for seed in range(9)} == {0.2}
    assert setting_of((), 0) == {}


def series(steps: list[int], values: list[float]) -> SeriesValues:
    return SeriesValues(np.array(steps), np.array(values, float))


def test_that_two_series_agree_where_they_move_alike() -> None:
    loss = series([0, 1, 2, 3, 4, 5], [1.0, 0.8, 0.9, 0.7, 0.6, 0.6])
    error = series([0, 1, 2, 3, 4, 5], [0.5, 0.4, 0.3, 0.3, 0.2, 0.1])
    # Down and down, up and down, down and still, down and down, still and down.
    assert agreement(loss, error) == pytest.approx(2.0 / 3.0)
    assert agreement(loss, loss) == 1.0
    assert math.isnan(agreement(loss, series([0, 1], [0.5, 0.5])))


def test_that_a_value_is_read_when_another_series_gets_there() -> None:
    error = series([0, 10, 20, 30], [0.9, 0.5, 0.4, 0.3])
    fitted = series([0, 5, 10, 15, 20], [0.8, 0.3, 0.1, 0.0, 0.2])
    assert when(error, fitted, 0.0, below=True) == 0.5
    assert when(error, fitted, 0.9, below=False) != when(error, fitted, 0.8, below=False)
    assert math.isnan(when(error, fitted, -1.0, below=True))


def test_that_the_order_is_the_exponent_of_a_power() -> None:
    steps = list(range(0, 200, 7))
    values = [3.0 / step**1.5 if step else 9.0 for step in steps]
    assert order(series(steps, values)) == pytest.approx(-1.5)
    assert math.isnan(order(series([1, 2, 3], [1.0, -1.0, 2.0])))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("first", [1.0, 2.0]),
        ("last", [4.0, 8.0]),
        ("largest", [4.0, 8.0]),
        ("smallest", [0.5, 2.0]),
        ("mean", [5.5 / 3.0, 14.0 / 3.0]),
        ("last/first", [4.0, 4.0]),
    ],
)
def test_that_a_part_of_several_numbers_is_read(part: str, expected: list[float]) -> None:
    layers = SeriesValues(np.array([1, 2]), np.array([[1.0, 0.5, 4.0], [2.0, 4.0, 8.0]]))
    assert one_number(layers, part).values == pytest.approx(np.array(expected))
    plain = series([1], [2.0])
    assert one_number(plain, part) is plain


def test_that_a_measured_value_can_be_scaled_and_begin_late() -> None:
    curve = {"loss": series([0, 10, 20, 40], [9.0, 4.0, 2.0, 1.0])}

    def read(**fields: Any) -> float:
        found = outcome(
            Measured.build({"of": "loss", **fields}, "measure"),
            curve,
            {},
            diverged=False,
            steps=40,
            seconds=1.0,
            steps_per_epoch=10,
        )
        assert found.low == found.high
        return found.low

    assert read(what="first") == 9.0 and read(what="first", times=0.5) == 4.5
    assert read(what="mean", step=20) == 1.5
    assert read(what="order", step=10) == pytest.approx(-1.0)
