"""Benchmarks: both ways do the same work, take turns, and are compared honestly."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from optlab.benchmarks import costs, optimizers, own_loop, table, training
from optlab.benchmarks.benchmark import Benchmark, Timing, largest_difference
from optlab.benchmarks.own_loop import Digits
from optlab.catalogue.instruments.base import Reading, StepContext
from optlab.catalogue.instruments.spectrum import Spectrum
from optlab.cli.app import main
from optlab.numerics.compiled import background
from optlab.optim.flat import steps


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the benchmarks to a few steps."""
    monkeypatch.setattr(training.SmallNetwork, "case", Digits((4,), 64, 25))
    monkeypatch.setattr(training.CompiledSmallNetwork, "case", Digits((4,), 64, 25, compiled=True))
    monkeypatch.setattr(training.MediumNetwork, "case", Digits((5, 4), 128, 12))
    monkeypatch.setattr(
        training.CompiledMediumNetwork, "case", Digits((5, 4), 128, 12, compiled=True)
    )
    monkeypatch.setattr(training.ManyRuns, "case", Digits((4,), 64, 20))
    monkeypatch.setattr(training.CompiledManyRuns, "case", Digits((4,), 64, 20, compiled=True))
    monkeypatch.setattr(training.ManyRuns, "runs", 3)
    monkeypatch.setattr(optimizers.OptimizerStep, "steps", 3)
    monkeypatch.setattr(steps, "LEAST_STEPS", 3)
    monkeypatch.setattr(steps, "LEAST_VALUES", 30)
    for cost in (
        costs.GradientNoiseCost,
        costs.EigenvalueCost,
        costs.FixedEigenvalueCost,
        costs.SmallEigenvalueCost,
        costs.EigenvalueSearchCost,
        costs.WatchCost,
    ):
        monkeypatch.setattr(cost, "case", Digits((4,), 64, 10))
    monkeypatch.setattr(own_loop, "STORES", False)


class Counted(Benchmark):
    """Rates and results that are given."""

    name, work, opponent, target = "counted", "numbers", "other numbers", 2.0

    def __init__(self) -> None:
        self.order = ""
        self.results = (1.0,)

    def ours(self) -> Timing:
        self.order += "o"
        return Timing(10.0 * len(self.order), (1.0,))

    def theirs(self) -> Timing:
        self.order += "t"
        return Timing(5.0 * len(self.order), self.results)


def test_that_both_ways_take_turns_and_ratios_are_of_a_turn() -> None:
    counted = Counted()
    row = counted.measure(3)
    assert counted.order == "ot" + "ot" + "to" + "ot"
    # 30/20, 60/25, 70/40
    assert (row.ratio, row.lowest, row.highest) == (1.75, 1.5, 2.4)
    assert (row.ours, row.theirs) == (60.0, 25.0)
    assert not row.met
    assert row.agrees


def test_that_other_results_are_no_agreement() -> None:
    counted = Counted()
    counted.results = (1.01,)
    assert not counted.measure(1).agrees
    counted.results = (1.0 + 1e-4,)
    assert counted.measure(1).agrees


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ((2.0, 3.0), (2.0, 4.0), 0.25),
        ((2.0,), (2.0, 3.0), math.inf),
        ((math.nan,), (math.nan,), math.inf),
        ((), (), math.inf),
    ],
)
def test_the_difference_of_results(
    ours: tuple[float, ...], theirs: tuple[float, ...], difference: float
) -> None:
    assert largest_difference(ours, theirs) == difference


@pytest.mark.parametrize("benchmark", table.BENCHMARKS[:-1], ids=lambda one: one.name)
@pytest.mark.usefixtures("short")
def test_that_both_ways_come_to_the_same(benchmark: type[Benchmark]) -> None:
    row = benchmark().measure(1)
    assert row.difference < 2e-6
    assert row.ours > 0.0
    assert row.theirs > 0.0


@pytest.mark.parametrize("name", ["optim-momentum", "optim-adam", "optim-momentum-ordinary"])
@pytest.mark.usefixtures("short")
def test_that_optimizers_are_measured_as_they_are_in_a_long_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_functions", {})
    fused: list[bool] = []
    made = optimizers.OptimizerStep._made

    def watched(self: optimizers.OptimizerStep, parameters: Any) -> Any:
        optimizer = made(self, parameters)
        step = optimizer.step

        def noted() -> None:
            step()
            fused.extend(optimizer.fused_groups if len(parameters) > 1 else ())

        optimizer.step = noted
        return optimizer

    monkeypatch.setattr(optimizers.OptimizerStep, "_made", watched)
    (benchmark,) = table.named([name])
    benchmark().measure(2)
    assert fused == [not name.endswith("ordinary")] * 9


@pytest.mark.parametrize("cost", [costs.EigenvalueCost, costs.SmallEigenvalueCost])
@pytest.mark.usefixtures("short")
def test_that_the_first_reading_passes_before_the_time_is_taken(
    cost: type[costs.EigenvalueCost], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings, at_clock = [0], []
    read = Spectrum.read

    def counted(self: Spectrum, context: StepContext, memory: dict[str, Any]) -> Reading:
        readings[0] += 1
        return read(self, context, memory)

    def clock() -> float:
        at_clock.append(readings[0])
        return float(len(at_clock))

    monkeypatch.setattr(Spectrum, "read", counted)
    monkeypatch.setattr(costs, "time", SimpleNamespace(process_time=clock))
    cost().ours()
    assert at_clock[0] >= 1
    assert at_clock[1] - at_clock[0] == cost.case.steps


@pytest.mark.parametrize(("exact", "agrees"), [(1.0 + 5e-5, True), (1.001, False)])
@pytest.mark.usefixtures("short")
def test_that_an_eigenvalue_that_is_off_is_noticed(
    exact: float, agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = iter((1.0, exact, 1.0))
    monkeypatch.setattr(costs, "_last_eigenvalue", lambda trainer: next(last))
    assert costs.EigenvalueCost().measure(1).agrees is agrees


@pytest.mark.parametrize(("factor", "agrees"), [(1.0 + 5e-5, True), (1.001, False)])
@pytest.mark.usefixtures("short")
def test_that_a_search_that_is_off_is_noticed(*, factor: float, agrees: bool) -> None:
    """Against the reading of the instrument at the same step."""
    cost = costs.EigenvalueSearchCost()
    cost.__dict__["_exact"] = factor * costs.SmallEigenvalueCost()._exact
    assert cost.measure(1).agrees is agrees


@pytest.mark.usefixtures("short")
def test_that_other_work_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    momentum = iter((0.9, 0.9, 0.5))
    original = own_loop.OwnLoop.run

    def run(self: own_loop.OwnLoop, lr: float = 0.01) -> Timing:
        return original(self, lr * next(momentum) / 0.9)

    monkeypatch.setattr(own_loop.OwnLoop, "run", run)
    assert main(["bench", "small", "--turns", "2"]) == 1
    assert "DIFFER" in capsys.readouterr().out


@pytest.mark.usefixtures("short")
def test_the_document_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "small", "optim-adam", "--turns", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["rows"]] == ["small", "optim-adam"]
    for row in document["rows"]:
        assert set(row) == {
            "name",
            "work",
            "opponent",
            "ours",
            "theirs",
            "ratio",
            "spread",
            "target",
            "met",
            "losses",
        }
        assert row["spread"][0] <= row["ratio"] <= row["spread"][1]
        assert row["met"] == (row["ratio"] >= row["target"])
        assert row["losses"]["agree"] is True


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["smal"], "did you mean small"),
        (["small", "--turns", "0"], "from 1 to"),
        (["small", "--turns", "x"], "turns"),
    ],
)
def test_that_bad_arguments_are_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    assert says.lower() in capsys.readouterr().err.lower()
