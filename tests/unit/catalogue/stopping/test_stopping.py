"""Stopping rules by themselves: what they say of a sequence of evaluations."""

from __future__ import annotations

import pytest

from optlab.catalogue.stopping.base import Stopping
from optlab.catalogue.stopping.early import EarlyStopping
from optlab.catalogue.stopping.evaluations import Evaluations
from optlab.catalogue.stopping.gradient_norm import GradientNorm
from optlab.catalogue.stopping.never import Never
from optlab.catalogue.stopping.target import Target
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment


def unasked() -> float:
    raise AssertionError("the gradient was evaluated, which costs a pass")


def halt(
    rule: Stopping, errors: list[float], name: str = "validation_error"
) -> tuple[int, dict[str, float], str]:
    """Number of the evaluation (at steps 10, 20, …) that ends the run, what the rule remembers
    then, and its reason.
    """
    memory: dict[str, float] = {}
    for number, error in enumerate(errors, start=1):
        before = dict(memory)
        found, reason = rule.verdict(
            memory, 10 * number, {name: error, "train_loss": 0.0}, lambda: 2.5
        )
        assert memory == before, "not written to"
        memory = dict(found)
        if reason is not None:
            return number, memory, reason
    return 0, memory, ""


def test_that_never_never_stops() -> None:
    assert Never().verdict({}, 10**9, {"validation_error": 0.0}, unasked) == ({}, None)


def test_that_a_target_stops_at_the_first_error_that_meets_it() -> None:
    rule = Target(error=0.05)
    assert rule.verdict({}, 1, {"validation_error": 0.0501}, unasked)[1] is None
    assert (
        rule.verdict({}, 2, {"validation_error": 0.05}, unasked)[1]
        == "validation error 0.0500 is at most 0.05"
    )


def test_that_a_target_without_validation_examples_continues() -> None:
    assert Target(error=1.0).verdict({}, 1, {"train_error": 0.0}, unasked)[1] is None


def test_that_a_number_of_gradients_ends_the_run_when_it_is_reached() -> None:
    rule = Evaluations(gradients=50)
    assert rule.verdict({}, 90, {"gradient_evaluations": 49.0}, unasked)[1] is None
    reason = "50 gradients have been evaluated, of 50"
    assert rule.verdict({}, 3, {"gradient_evaluations": 50.0}, unasked)[1] == reason
    assert rule.verdict({}, 49, {}, unasked)[1] is None, "each step evaluates one"
    assert rule.verdict({}, 50, {}, unasked)[1] == reason


def test_that_early_stopping_waits_for_its_patience_since_the_best_evaluation() -> None:
    rule = EarlyStopping(patience=3)
    assert halt(rule, [0.5, 0.4, 0.41, 0.42])[0] == 0
    number, memory, _ = halt(rule, [0.5, 0.4, 0.41, 0.42, 0.39, 0.4, 0.39, 0.6, 0.1])
    assert number == 8, "an equal error is no improvement"
    assert memory == {"best": 0.39, "best_step": 50, "waited": 3}


def test_that_early_stopping_wants_an_improvement_of_the_least_size() -> None:
    errors = [0.5, 0.45, 0.41, 0.38, 0.37]
    number, memory, _ = halt(EarlyStopping(patience=2, improvement=0.1), errors)
    assert (number, memory["best_step"]) == (3, 10)
    assert halt(EarlyStopping(patience=2, improvement=0.025), errors)[0] == 0


def test_that_early_stopping_tells_the_norm_of_the_gradient_and_what_is_restored() -> None:
    reason = halt(EarlyStopping(patience=1), [0.5, 0.6])[2]
    assert "the validation error has not fallen below 0.5, its value at step 10" in reason
    assert "the norm of the gradient on the whole training set is 2.5" in reason
    assert reason.endswith("the parameters of step 10 are restored")
    assert "restored" not in halt(EarlyStopping(patience=1, restore_best=False), [0.5, 0.6])[2]
    assert "at the start" not in reason, "it is not known here"


def test_that_early_stopping_compares_the_gradient_with_its_value_at_the_start() -> None:
    rule, values = EarlyStopping(patience=1), {"gradient_norm_at_start": 4.0}
    memory, _ = rule.verdict({}, 1, {"validation_error": 0.5, **values}, lambda: 3.0)
    reason = rule.verdict(memory, 2, {"validation_error": 0.6, **values}, lambda: 0.1)[1]
    assert reason is not None and "is 0.1, 2.50% of 4 at the start" in reason
    assert "large" not in (EarlyStopping.__doc__ or "")


def test_that_early_stopping_looks_at_the_validation_loss_where_there_is_no_error() -> None:
    assert halt(EarlyStopping(patience=1), [2.0, 1.0, 3.0], "validation_loss")[0] == 3
    rule = EarlyStopping(patience=1)
    memory, _ = rule.verdict({}, 1, {"validation_error": 0.5, "validation_loss": 1.0}, unasked)
    assert (
        rule.verdict(memory, 2, {"validation_error": 0.4, "validation_loss": 9.0}, unasked)[1]
        is None
    )


def test_that_early_stopping_without_a_validation_part_is_refused() -> None:
    tables = {
        "dataset": {"name": "iris", "validation": 0.0},
        "model": {"name": "linear"},
        "stopping": {"name": "early"},
    }
    with pytest.raises(
        InvalidInput,
        match=r"stopping\.name is 'early', which needs validation examples, but "
        r"dataset\.validation is 0",
    ):
        Experiment.from_dict(tables)


def test_that_a_small_gradient_ends_a_run_and_a_larger_one_does_not() -> None:
    rule = GradientNorm(bound=0.1)
    assert rule.verdict({}, 1, {}, lambda: 0.1001)[1] is None
    assert (
        rule.verdict({}, 1, {}, lambda: 0.1)[1]
        == "the norm of the gradient on the whole training set, 0.1, is at most 0.1"
    )
    assert rule.verdict({}, 1, {}, lambda: float("nan"))[1] is None
