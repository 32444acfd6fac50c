"""Numbers as functions of the step, against torch's schedulers and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from optlab.core.piecewise_text import PiecewiseProblem, parse

LR = 0.3
PAIRS: list[tuple[str, Callable[[torch.optim.Optimizer], Any], int]] = [
    ("hold 5", lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 20),
    (
        "from 10%; linear to 100% in 20",
        lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=20),
        50,
    ),
    (
        "cosine to 0.03 in 50",
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=50, eta_min=0.03),
        51,
    ),
    (
        "polynomial 2 to 0 in 40",
        lambda o: lr_scheduler.PolynomialLR(o, total_iters=40, power=2.0),
        60,
    ),
    (
        "exponential to 1% in 100",
        lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1.0 / 100.0)),
        101,
    ),
    (
        "from 1%; linear to 100% in 10; cosine to 0 in 90",
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, start_factor=0.01, total_iters=10),
                lr_scheduler.CosineAnnealingLR(o, T_max=90),
            ],
            milestones=[10],
        ),
        100,
    ),
    (
        "repeat longer 2 (from 100%; cosine to 0 in 10)",
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2),
        200,
    ),
    (
        "repeat (from 0.1; linear to 0.3 in 8; linear to 0.1 in 12)",
        lambda o: lr_scheduler.CyclicLR(
            o, base_lr=0.1, max_lr=0.3, step_size_up=8, step_size_down=12, cycle_momentum=False
        ),
        100,
    ),
    (
        "hold 7; from 50%; hold 6; from 5%",
        lambda o: lr_scheduler.LambdaLR(o, lambda k: 1.0 if k < 7 else 0.5 if k < 13 else 0.05),
        40,
    ),
    ("inverse 7", lambda o: lr_scheduler.LambdaLR(o, lambda k: 1.0 / (1.0 + k / 7.0)), 100),
    (
        "inverse root 7",
        lambda o: lr_scheduler.LambdaLR(o, lambda k: 1.0 / math.sqrt(1.0 + k / 7.0)),
        100,
    ),
]


@pytest.mark.parametrize(("line", "make", "steps"), PAIRS, ids=[line for line, *_ in PAIRS])
def test_that_a_line_gives_the_values_of_torch(
    line: str, make: Callable[[torch.optim.Optimizer], Any], steps: int
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    theirs_scheduler = make(optimizer)
    theirs, ours = [], []
    for step in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        ours.append(parse(line).at(step, LR))
        optimizer.step()
        theirs_scheduler.step()
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_that_nesterovs_sequence_is_the_published_one() -> None:
    assert [parse("nesterov").at(k - 1, 0.9) for k in (1, 2, 3, 10)] == [0.0, 1 / 4, 2 / 5, 9 / 12]


def test_that_warm_up_stable_decay_keeps_its_plateau() -> None:
    line = parse("from 0%; linear to 100% in 10; hold 80; linear to 0% in 10")
    assert [line.at(k, 2.0) for k in (0, 5, 10, 89, 90, 95, 100, 10**9)] == [
        0.0,
        1.0,
        2.0,
        2.0,
        2.0,
        1.0,
        0.0,
        0.0,
    ]


def test_that_repetitions_are_counted_and_what_follows_them_begins_after_the_last() -> None:
    line = parse("repeat 3 times (from 1; linear to 0 in 4; hold 1); from 5; hold 2; from 7")
    assert [line.at(k, 1.0) for k in (0, 4, 5, 9, 14, 15, 16, 17)] == [1, 0, 1, 0, 0, 5, 5, 7]


@given(st.integers(0, 10**12))
def test_that_a_repeated_cycle_is_reached_at_once_and_is_the_same_every_time(step: int) -> None:
    line = parse("hold 3; repeat (linear to 1 in 5; linear to 2 in 7)")
    expected = line.at(3 + 12 + (step % 12), 0.5)
    assert line.at(3 + 12 + step, 0.5) == expected


def test_that_the_first_of_repeated_cycles_begins_where_the_piece_before_it_ended() -> None:
    line = parse("from 4; hold 2; repeat (linear to 2 in 2)")
    assert [line.at(k, 1.0) for k in range(7)] == [4, 4, 4, 3, 2, 2, 2]


def test_that_epochs_become_steps() -> None:
    line = parse("linear to 2 in 3 epochs; repeat 2 times (hold 0.5 epochs)")
    assert line.has_epochs
    converted = line.in_steps(40)
    assert not converted.has_epochs
    assert str(converted) == "linear to 2 in 120; repeat 2 times (hold 20)"
    with pytest.raises(ValueError, match="epochs"):
        line.at(1, 1.0)


LINES = [line for line, *_ in PAIRS] + [
    "from 0.5; linear to 0.9 in 250",
    "hold 3 epochs; polynomial 1.5 to 10% in 2 epochs",
    "repeat 4 times longer 1.5 (from 100%; exponential to 1% in 10)",
    "repeat (repeat 2 times (from 1; linear to 0 in 3); hold 4)",
]


@pytest.mark.parametrize("line", LINES)
def test_that_what_is_written_is_read_as_the_same(line: str) -> None:
    assert parse(str(parse(line))) == parse(line)


@pytest.mark.parametrize("line", LINES)
def test_that_no_value_leaves_the_range(line: str) -> None:
    function = parse(line).in_steps(10)
    low, high = function.range(0.3)
    values = [function.at(step, 0.3) for step in range(400)]
    assert low - 1e-12 <= min(values)
    assert max(values) <= high + 1e-12


@pytest.mark.parametrize(
    ("line", "power", "factor"),
    [
        ("linear to 5% in 10", 0.0, 0.015),
        ("cosine to 0 in 10", 0.0, 0.0),
        ("linear to 0.2 in 10; inverse 5", 1.0, 0.2),
        ("inverse root 5", 0.5, 0.3),
        ("nesterov", 0.0, 1.0),
        ("repeat (from 1; linear to 0 in 4)", 0.0, 1.0),
    ],
)
def test_that_the_tail_is_told(line: str, power: float, factor: float) -> None:
    assert parse(line).tail(0.3) == (power, pytest.approx(factor))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "it is empty"),
        ("warp to 1 in 3", "'warp' is not a piece; pieces are from, hold"),
        ("linear to 1", "'in' is missing before the end"),
        ("linear 1 in 5", "'to' is missing before '1'"),
        ("linear to x in 5", "'x' stands where a value such as 0.9 or 10% is needed"),
        ("linear to 1 in 0", "0 is not a duration"),
        ("hold 1.5", "1.5 is not a duration"),
        ("hold 5 hold 5", "a ; is missing before 'hold'"),
        ("nesterov; hold 5", "nothing can follow 'nesterov'"),
        ("repeat (nesterov)", "'nesterov' has no end, so nothing repeats it"),
        ("repeat (from 1)", "what repeats must last at least a step"),
        ("repeat 0 times (hold 1)", "whole number from 1"),
        ("repeat longer 1.001 (hold 1)", "the factor must be 1, or from 1.01"),
        ("repeat longer 2 (repeat longer 2 (hold 1); hold 2)", "has no end"),
        ("hold 5)", "')' does not belong there"),
        ("exponential to 0 in 5", "equal factors never reach 0"),
        ("from 0%; exponential to 1 in 5", "equal factors never leave 0"),
        ("polynomial 0 to 1 in 5", "must be above 0"),
        ("hold 5 & hold 5", "'& hold 5' is not understood"),
        ("hold -5", "'-5' is not understood"),
        ("hold 1e999", "is too large"),
        ("repeat (" * 9 + "hold 1" + ")" * 9, "more than 8 deep"),
    ],
)
def test_that_a_mistake_is_told(line: str, message: str) -> None:
    with pytest.raises(PiecewiseProblem) as caught:
        parse(line)
    assert message in str(caught.value)


@given(st.text("from hold linear to in repeat times 0123456789.%;()e", max_size=60))
def test_that_any_text_is_read_or_refused(line: str) -> None:
    try:
        function = parse(line)
    except PiecewiseProblem:
        return
    if not function.has_epochs:
        function.at(1000, 1.0)
