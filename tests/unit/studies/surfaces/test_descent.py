"""Races on surfaces against closed forms, torch and what the notes say of cliffs, plateaus, saddles
and the mountain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.studies.surfaces.descent import DIVERGENCE_RADIUS, Contender, Race, race


def ground(name: str, **values: Any) -> Surface:
    return registry.build(Surface, {"name": name, **values})


def method(name: str, **values: Any) -> Optimizer:
    return registry.build(Optimizer, {"name": name, **values})


def clip(threshold: float) -> Clipping:
    return registry.build(Clipping, {"name": "norm", "threshold": threshold})


def alone(
    surface: Surface, optimizer: Optimizer, start: tuple[float, ...], steps: int, **more: Any
) -> Race:
    return race(surface, [Contender(optimizer, start, **more)], steps)


def eigenbasis(surface: Any) -> tuple[np.ndarray, np.ndarray]:
    turn = np.radians(surface.angle)
    return np.array([1.0, surface.condition]), np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )


def test_that_gradient_descent_on_a_quadratic_shrinks_each_eigencoordinate_by_its_own_factor() -> (
    None
):
    surface = ground("quadratic", condition=7.0, angle=30.0)
    eigenvalues, basis = eigenbasis(surface)
    found = alone(surface, method("sgd", lr=0.2), (3.0, -5.0), 40)
    powers = (1.0 - 0.2 * eigenvalues)[None, :] ** np.arange(41)[:, None]
    assert found.positions[:, 0] == pytest.approx(
        (powers * (basis.T @ (3.0, -5.0))) @ basis.T, abs=1e-12
    )
    assert found.values[:, 0] == pytest.approx(
        0.5 * (eigenvalues * (found.positions[:, 0] @ basis) ** 2).sum(axis=1), abs=1e-12
    )
    assert found.gradients[:, 0] == pytest.approx(
        found.positions[:, 0] @ (basis @ np.diag(eigenvalues) @ basis.T), abs=1e-12
    )


def test_that_momentum_on_a_quadratic_follows_the_powers_of_its_matrix() -> None:
    surface = ground("quadratic")
    eigenvalues, basis = eigenbasis(surface)
    start, lr, alpha = np.array([4.0, 9.0]), 0.05, 0.8
    found = alone(surface, method("momentum", lr=lr, momentum=alpha), tuple(start), 50)
    for place, eigenvalue in enumerate(eigenvalues):
        matrix = np.array([[1.0 - lr * eigenvalue, alpha], [-lr * eigenvalue, alpha]])
        expected = np.array(
            [np.linalg.matrix_power(matrix, k) @ (basis[:, place] @ start, 0.0) for k in range(51)]
        )
        assert found.positions[:, 0] @ basis[:, place] == pytest.approx(expected[:, 0], abs=1e-11)
        assert found.states[0]["v"] @ basis[:, place] == pytest.approx(expected[:, 1], abs=1e-11)


def test_that_momentum_on_a_slope_tends_to_its_terminal_speed() -> None:
    surface = ground("formula", expression="3*x - 4*y", x_from=-100.0, x_to=100.0)
    found = alone(surface, method("momentum", lr=0.02, momentum=0.9), (0.0, 0.0), 300)
    assert np.linalg.norm(found.states[0]["v"][-1]) == pytest.approx(
        0.02 * 5.0 / (1.0 - 0.9), rel=1e-9
    )


def test_that_nesterovs_gradient_is_taken_ahead() -> None:
    found = alone(ground("rosenbrock"), method("nesterov", lr=1e-4, momentum=0.9), (-1.2, 1.0), 30)
    assert found.points[1:, 0] == pytest.approx(
        found.positions[1:-1, 0] + 0.9 * found.states[0]["v"][1:-1], abs=1e-14
    )
    terms = found.terms(0, 7)
    assert terms["θ̃"] == pytest.approx(found.points[7, 0]) and terms["v"] == pytest.approx(
        terms["Δθ"]
    )
    assert terms["g"] != pytest.approx(terms["∇f"])


def test_that_newton_arrives_in_one_step_whatever_the_condition() -> None:
    surface = ground("quadratic", condition=1e6)
    found = alone(surface, method("newton", damping=0.0), (-7.0, 3.0), 3)
    assert found.positions[1, 0] == pytest.approx([0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("name", "fields", "reference"),
    [("adam", {"lr": 0.05}, torch.optim.Adam), ("adagrad", {"lr": 0.3}, torch.optim.Adagrad)],
)
def test_that_a_path_on_rosenbrock_is_that_of_torch(
    name: str, fields: dict[str, float], reference: Any
) -> None:
    surface = ground("rosenbrock")
    found = alone(surface, method(name, **fields), (-1.2, 1.0), 60)
    point = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = reference([point], lr=fields["lr"])
    for step in range(60):
        optimizer.zero_grad()
        surface.value(point).backward()
        optimizer.step()
        assert found.positions[step + 1, 0] == pytest.approx(point.detach().numpy(), rel=1e-6)


def test_that_newton_is_drawn_to_the_saddle_and_saddle_free_newton_leaves_it() -> None:
    surface = ground("saddle")
    names = ("newton", "saddle_free_newton", "sgd")
    found = race(
        surface,
        [
            Contender(method(name, **({"lr": 0.05} if name == "sgd" else {})), (0.1, 0.8))
            for name in names
        ],
        80,
    )
    newton, free, descent = (found.path(run)[-1] for run in range(3))
    assert np.linalg.norm(newton) < 1e-12
    assert abs(free[0]) < 1e-6 and abs(free[1]) > 2.0
    assert abs(descent[1]) > 2.0
    assert found.notes[0] and "uphill" in found.notes[0][0]
    assert alone(surface, method("sgd", lr=0.05), (0.8, 0.0), 500).path(0)[-1] == pytest.approx(
        [0.0, 0.0], abs=1e-12
    )


@pytest.mark.parametrize("label", ["from above", "from below"])
def test_that_clipping_keeps_the_progress_that_the_cliff_throws_away(label: str) -> None:
    surface = ground("cliff")
    start = next(start.point for start in surface.starts() if start.label == label)
    descent = method("sgd", lr=surface.lr)
    found = race(
        surface,
        [Contender(descent, start), Contender(descent, start, clipping=clip(surface.threshold))],
        100,
    )
    thrown, kept = (np.linalg.norm(np.diff(found.path(run), axis=0), axis=1) for run in range(2))
    assert thrown.max() > 8.0
    assert kept.max() == pytest.approx(surface.lr * surface.threshold)
    width = surface.domain()[0][1] - surface.domain()[0][0]
    assert found.positions[:, 0, 0].min() < -0.8 * width  # far out of the picture
    foot = found.positions[40:, 1, 0]
    assert (foot > -0.7).all() and (foot < 0.3).all()
    assert np.median(found.values[40:, 0]) > 4.0 * np.median(found.values[40:, 1])


def test_that_only_methods_that_divide_by_the_gradients_size_cross_the_plateau() -> None:
    surface = ground("plateau")
    start = surface.starts()[0].point
    crossing, staying = ("rmsprop", "adam", "lion"), ("sgd", "momentum", "nesterov")
    found = race(
        surface, [Contender(method(name, lr=0.05), start) for name in (*crossing, *staying)], 300
    )
    ends = dict(zip((*crossing, *staying), found.values[-1].tolist(), strict=True))
    assert all(ends[name] < 0.01 for name in crossing)
    assert all(ends[name] > 0.999 for name in staying)
    outward = alone(surface, method("newton"), start, 20)
    assert np.linalg.norm(outward.path(0)[-1]) > np.linalg.norm(start)


def test_that_the_wrong_side_of_the_mountain_is_left_on_a_long_path_or_not_at_all() -> None:
    surface = ground("mountain")
    on, beside, right = (start.point for start in surface.starts())
    found = race(
        surface,
        [Contender(method("sgd", lr=surface.lr), start) for start in (on, beside, right)],
        4000,
    )
    assert (
        found.values[-1, 0] > 0.99 and found.values[-1, 1] < -0.99 and found.values[-1, 2] < -0.99
    )
    assert found.path_length(1) > 2.0 * found.distance(1)
    assert found.path_length(2) < 1.1 * found.distance(2)


def test_that_a_run_among_others_gives_the_numbers_that_it_gives_alone() -> None:
    surface = ground("himmelblau")
    contenders = [
        Contender(method("momentum", lr=0.001), (0.0, 0.0)),
        Contender(method("newton"), (1.0, -2.0)),
        Contender(method("momentum", lr=0.004), (-1.0, 2.0), seed=3),
        Contender(method("adam", lr=0.1), (4.0, 4.0), clipping=clip(5.0)),
        Contender(method("lbfgs"), (0.5, 0.5)),
    ]
    together = race(surface, contenders, 60, noise=0.5)
    for run, contender in enumerate(contenders):
        single = race(surface, [contender], 60, noise=0.5)
        assert together.path(run) == pytest.approx(single.path(0), rel=1e-10, abs=1e-12)
        for name, values in single.states[0].items():
            assert together.states[run][name] == pytest.approx(values, rel=1e-8, abs=1e-10)


def test_that_noise_has_its_size_and_is_the_same_for_all_with_one_seed() -> None:
    surface = ground("parabola")
    contenders = [
        Contender(method("sgd", lr=0.1), (1.0,)),
        Contender(method("sgd", lr=0.01), (1.0,)),
        Contender(method("sgd", lr=0.1), (1.0,), seed=1),
    ]
    found = race(surface, contenders, 2500, noise=0.3)
    noise = found.used[:, :, 0] - found.gradients[:-1, :, 0]
    assert noise[:, 0] == pytest.approx(noise[:, 1], abs=1e-12)
    assert np.abs(np.corrcoef(noise[:, 0], noise[:, 2])[0, 1]) < 0.08
    assert noise[:, 0].std() == pytest.approx(0.3, rel=0.05) and abs(noise[:, 0].mean()) < 0.02
    # The stationary spread of x ← (1 − ε)x − εn: σ² ε / (2 − ε).
    assert found.positions[500:, 0, 0].std() == pytest.approx(0.3 * np.sqrt(0.1 / 1.9), rel=0.1)


def test_that_a_schedule_and_clipping_act_and_can_be_read_off_the_terms() -> None:
    schedule = registry.build(Schedule, {"name": "exponential"})
    optimizer = method("sgd", lr=0.5)
    found = alone(ground("parabola"), optimizer, (1.9,), 12, schedule=schedule, clipping=clip(0.25))
    assert found.rates[:, 0] == pytest.approx([schedule.rate(0.5, step) for step in range(12)])
    terms = found.terms(0, 3)
    assert abs(terms["clip g"]) == pytest.approx([0.25]) and terms["Δθ"] == pytest.approx(
        -terms["ε"] * terms["clip g"]
    )
    assert terms["θ"] + terms["Δθ"] == pytest.approx(found.positions[4, 0])
    with pytest.raises(IndexError):
        found.terms(0, 12)


@pytest.mark.parametrize(
    "surface",
    [
        ground("saddle"),
        ground("monkey_saddle"),
        ground("formula", expression="x^3"),
        ground("formula", expression="-exp(x)"),
    ],
    ids=["saddle", "monkey saddle", "x^3", "-exp(x)"],
)
def test_that_leaving_a_saddle_on_an_unbounded_surface_is_no_divergence(surface: Surface) -> None:
    start = (-0.5,) if surface.dimension == 1 else (0.5, 0.4)
    left = alone(surface, method("sgd", lr=surface.lr), start, 2000)
    assert left.endings == ("escaped",)
    assert "the function appears unbounded below" in left.reasons[0]
    assert left.values[left.lengths[0], 0] < left.values[0, 0]
    # Too large a rate climbs both ways on a bounded function, and that is divergence.
    climbing = alone(ground("parabola"), method("sgd", lr=3.0), (1.0,), 60)
    assert climbing.endings == ("diverged",) and "unbounded" not in climbing.reasons[0]


def test_that_the_largest_step_is_the_throw_of_the_cliff() -> None:
    cliff = ground("cliff")
    free = alone(cliff, method("sgd", lr=cliff.lr), cliff.starts()[0].point, 30)
    number, length = free.largest_step(0)
    steps = np.linalg.norm(np.diff(free.positions[:, 0], axis=0), axis=1)
    assert length == steps.max() == steps[number - 1] and length > 5.0
    assert alone(cliff, method("sgd"), (1.0, 0.0), 0).largest_step(0) == (0, 0.0)


def test_that_a_run_that_diverges_stops_where_it_was_and_says_why_while_others_go_on() -> None:
    surface = ground("formula", expression="x^2 + log(y)", y_from=0.1, y_to=3.0)
    contenders = [
        Contender(method("sgd", lr=1.5), (1.0, 2.0)),
        Contender(method("sgd", lr=1e-3), (1.0, 2.0)),
        Contender(method("sgd", lr=0.5), (1.0, 1.0)),
    ]
    found = race(surface, contenders, 30)
    assert found.endings == ("diverged", "finished", "diverged")
    assert "more than 1000 widths" in found.reasons[0] or "not finite" in found.reasons[0]
    assert (
        "where the function or its slope is not finite" in found.reasons[2]
        and found.reasons[1] == ""
    )
    assert np.isfinite(found.positions).all() and found.lengths[1] == 30 and found.lengths[2] < 30
    assert (found.positions[found.lengths[2] :, 2] == found.path(2)[-1]).all()
    far = alone(ground("parabola"), method("sgd", lr=3.0), (1.0,), 60)
    assert (
        far.endings == ("diverged",)
        and f"more than {DIVERGENCE_RADIUS:g} widths" in far.reasons[0]
        and abs(far.path(0)[-1, 0]) <= 4.0 * DIVERGENCE_RADIUS
    )


def test_that_a_run_that_arrived_stops_before_its_arithmetic_breaks() -> None:
    surface = ground("quadratic")
    found = alone(surface, method("bfgs"), surface.starts()[0].point, 200)
    assert found.endings == ("arrived",) and found.lengths[0] < 200 and found.values[-1, 0] < 1e-30


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in registry.names("optimizer")
        if not getattr(registry.get("optimizer", name), "needs_predictions", False)
    ],
)
def test_that_every_optimizer_goes_downhill_on_a_quadratic(name: str) -> None:
    found = race(
        ground("quadratic"),
        [Contender(method(name), (2.0, 1.0)), Contender(method(name), (-1.0, 2.0))],
        25,
    )
    assert (found.values[-1] < found.values[0]).all()
    assert set(found.endings) <= {"finished", "arrived"}


def test_that_what_cannot_run_is_refused_in_words() -> None:
    surface = ground("saddle")
    for contenders, words in (
        ([], "needs at least one method"),
        ([Contender(method("natural_gradient"), (1.0, 1.0))], "another optimizer for a surface"),
        (
            [Contender(method("newton"), (1.0, 1.0), clipping=clip(1.0))],
            'set clipping.name = "none"',
        ),
        ([Contender(method("sgd"), (1.0,))], "has 2 numbers"),
    ):
        with pytest.raises(InvalidInput, match=words):
            race(surface, contenders, 5)
    with pytest.raises(InvalidInput, match="no finite value there"):
        alone(ground("formula", expression="log(x)"), method("sgd"), (-1.0,), 5)


def test_that_a_race_can_be_ended_between_two_steps() -> None:
    found = race(
        ground("saddle"), [Contender(method("sgd"), (1.0, 1.0))], 1000, going=lambda step: step < 7
    )
    assert found.positions.shape == (8, 1, 2) and found.lengths[0] == 7


def test_that_a_recurrent_unit_has_a_cliff_that_clipping_takes_the_danger_from() -> None:
    surface = ground("recurrent_cliff")
    sgd, start = method("sgd", lr=surface.lr), surface.starts()[0].point
    found = race(
        surface,
        [Contender(sgd, start), Contender(sgd, start, clipping=clip(surface.threshold))],
        200,
    )
    longest = [
        float(np.linalg.norm(np.diff(found.path(run), axis=0), axis=1).max()) for run in (0, 1)
    ]
    assert longest[0] > 20.0 and longest[1] <= surface.lr * surface.threshold * (1 + 1e-9)
    assert found.values[-1, 0] > 0.05 > 0.01 > found.values[-1, 1]


def test_that_the_recurrent_cliff_is_a_recurrent_unit_unrolled_by_torch() -> None:
    surface = ground("recurrent_cliff", steps=7, target=0.3)
    weight, bias = 3.1, -1.2
    x = 0.5
    for _ in range(7):
        x = weight / (1.0 + math.exp(-x)) + bias
    assert float(surface.value(torch.tensor([weight, bias], dtype=torch.float64))) == pytest.approx(
        (1.0 / (1.0 + math.exp(-x)) - 0.3) ** 2, rel=1e-12
    )
