"""Generated sets against closed forms: circles, teachers, least squares of a condition number,
sequences with a lag.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

from optlab.core import registry
from optlab.core.errors import InvalidInput

SETS: dict[str, dict[str, Any]] = {
    "circles": {"size": 300},
    "teacher": {"size": 300, "noise": 0.1},
    "least_squares": {"size": 300},
    "adding_problem": {"size": 300, "length": 9},
    "copy_task": {"size": 300, "delay": 5},
}


def make(name: str, **values: Any) -> Any:
    return registry.build("dataset", {"name": name, **values})


def drawn(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = dataset.examples(dataset.rng("examples"))
    return x, y


@pytest.mark.parametrize("name", SETS)
def test_that_a_generated_set_has_the_shape_it_states(name: str) -> None:
    dataset = make(name, **SETS[name])
    data, shape = dataset.load(), dataset.shape()
    assert data.shape == shape
    assert [len(part) for part in (data.training, data.validation, data.test)] == [180, 60, 60]
    assert data.training.x.shape[1:] == shape.inputs and data.training.x.dtype == np.float64
    if shape.task == "classes":
        assert data.training.y.dtype == np.int64 and set(data.training.y.tolist()) == set(
            range(shape.outputs)
        )
        assert len(data.class_names) in (0, shape.outputs)
    else:
        assert data.training.y.shape[1:] == (shape.outputs,)
    assert len(data.input_names) in (0, shape.width)


@pytest.mark.parametrize("name", SETS)
def test_that_a_data_seed_fixes_the_draw(name: str) -> None:
    (first, again, other) = (drawn(make(name, **SETS[name], seed=seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_that_circles_have_their_radii_and_cover_all_angles() -> None:
    x, y = drawn(make("circles", size=4000, radius=0.3, noise=0.0))
    np.testing.assert_allclose(np.hypot(*x[y == 0].T), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(*x[y == 1].T), 0.3, rtol=1e-12)
    turn = np.exp(1j * np.arctan2(x[:, 1], x[:, 0]))
    assert max(abs(turn.mean()), abs((turn**2).mean())) < 5.0 / math.sqrt(4000.0)
    assert abs(y.mean() - 0.5) < 2.5 / math.sqrt(4000.0)


def test_that_the_noise_of_circles_has_its_standard_deviation() -> None:
    clean, noisy = (drawn(make("circles", size=4000, noise=noise)) for noise in (0.0, 0.2))
    np.testing.assert_array_equal(clean[1], noisy[1])
    residual = noisy[0] - clean[0]
    assert residual.std() == pytest.approx(0.2, rel=5.0 / math.sqrt(2.0 * residual.size))
    assert np.abs(residual.mean(axis=0)).max() < 0.2 * 5.0 / math.sqrt(4000.0)


@pytest.mark.parametrize("task", ["classes", "regression"])
def test_that_a_teacher_is_the_network_of_its_weights(task: str) -> None:
    dataset = make("teacher", size=200, task=task, dimension=6, hidden=5, outputs=3)
    x, y = drawn(dataset)
    first, second = dataset.weights()
    network = nn.Sequential(
        nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 3, bias=False)
    ).double()
    network.load_state_dict(
        {"0.weight": torch.from_numpy(first), "2.weight": torch.from_numpy(second)}
    )
    scores = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(
        y, scores.argmax(axis=1) if task == "classes" else scores, rtol=1e-12, atol=1e-12
    )


def test_that_the_weights_and_noise_of_a_teacher_have_the_stated_sizes() -> None:
    dataset = make(
        "teacher", size=3000, task="regression", dimension=100, hidden=400, outputs=4, noise=0.5
    )
    first, second = dataset.weights()
    assert first.std() == pytest.approx(2.0 / 10.0, rel=0.02)
    assert second.std() == pytest.approx(1.0 / 20.0, rel=0.1)
    x, y = drawn(dataset)
    np.testing.assert_allclose([x.mean(), x.std()], [0.0, 1.0], atol=0.02)
    residual = y - dataset.scores(x)
    assert residual.std() == pytest.approx(0.5, rel=5.0 / math.sqrt(2.0 * residual.size))


def test_that_more_examples_have_the_same_teacher() -> None:
    few, many = make("teacher", size=50), make("teacher", size=500)
    np.testing.assert_array_equal(few.weights()[0], many.weights()[0])
    np.testing.assert_array_equal(few.weights()[1], many.weights()[1])


@pytest.mark.parametrize("condition", [1.0, 100.0, 1e6])
def test_that_the_hessian_of_least_squares_has_the_requested_condition_number(
    condition: float,
) -> None:
    dataset = make(
        "least_squares", size=200, dimension=6, condition=condition, validation=0.0, test=0.0
    )
    x = dataset.load().training.x
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-14)
    hessian = 2.0 * x.T @ x / len(x)
    eigenvalues = np.linalg.eigvalsh(hessian)
    np.testing.assert_allclose(eigenvalues, 2.0 * condition ** -np.linspace(1.0, 0.0, 6), rtol=1e-8)
    np.testing.assert_allclose(hessian, 2.0 * dataset.covariance(), atol=1e-13)
    assert condition == 1.0 or np.abs(hessian - np.diag(np.diag(hessian))).max() > 0.05, (
        "the axes are not those of the inputs"
    )


def test_that_the_minimum_of_least_squares_is_where_its_gradient_is_zero() -> None:
    dataset = make("least_squares", size=400, dimension=4, condition=50.0, noise=0.3)
    part = dataset.load().training
    w, b, least = dataset.minimum(part.x, part.y)
    reference = LinearRegression().fit(part.x, part.y[:, 0])
    np.testing.assert_allclose(w, reference.coef_, rtol=1e-9)
    assert b == pytest.approx(reference.intercept_, rel=1e-6, abs=1e-12)
    residual = part.x @ w + b - part.y[:, 0]
    np.testing.assert_allclose([*(part.x.T @ residual), residual.sum()], 0.0, atol=1e-10)
    assert least == pytest.approx(float((residual**2).mean()), rel=1e-12)


def test_that_least_squares_without_noise_is_solved_by_the_true_weights() -> None:
    dataset = make("least_squares", dimension=4, condition=100.0, noise=0.0)
    x, y = drawn(dataset)
    w, b, least = dataset.minimum(x, y)
    np.testing.assert_allclose(w, dataset.weights(), atol=1e-12)
    assert np.linalg.norm(dataset.weights()) == pytest.approx(1.0)
    assert abs(b) < 1e-12 and least < 1e-25


def test_that_the_noise_of_least_squares_is_what_remains_at_the_true_weights() -> None:
    dataset = make("least_squares", size=5000, noise=0.3)
    x, y = drawn(dataset)
    residual = y[:, 0] - x @ dataset.weights()
    assert residual.std() == pytest.approx(0.3, rel=5.0 / math.sqrt(2.0 * 5000.0))


def test_that_too_few_examples_for_least_squares_are_refused_with_a_reason() -> None:
    with pytest.raises(
        InvalidInput, match=r"dataset\.size is 10, .* must be at least 22"
    ) as refusal:
        make("least_squares", size=10, dimension=20).load()
    assert refusal.value.field == "dataset.size"
    assert (
        len(make("least_squares", size=22, dimension=20, validation=0.0, test=0.0).load().training)
        == 22
    )


@pytest.mark.parametrize("length", [2, 7, 20])
def test_that_the_target_of_the_adding_problem_is_the_sum_of_two_marked_numbers(
    length: int,
) -> None:
    x, y = drawn(make("adding_problem", size=4000, length=length))
    numbers, marks = x[:, :, 0], x[:, :, 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    assert (marks[:, : length // 2].sum(axis=1) == 1).all() and (
        marks[:, length // 2 :].sum(axis=1) == 1
    ).all()
    for example in range(50):
        first, second = np.flatnonzero(marks[example])
        assert y[example, 0] == numbers[example, first] + numbers[example, second]
    assert numbers.min() >= 0.0 and numbers.max() <= 1.0
    # The sum of two uniform numbers has mean 1, variance 1/6 and fourth central moment 1/15.
    assert y.mean() == pytest.approx(1.0, abs=5.0 * math.sqrt(1.0 / 6.0 / 4000.0))
    assert y.var() == pytest.approx(
        1.0 / 6.0, abs=5.0 * math.sqrt((1.0 / 15.0 - 1.0 / 36.0) / 4000.0)
    )
    assert (marks.sum(axis=0) > 0).all(), "every step is marked in some example"


def test_that_the_copy_task_shows_its_answer_at_the_first_step_only() -> None:
    x, y = drawn(make("copy_task", size=500, symbols_shown=3, delay=4, noise=0.0))
    assert x.shape == (500, 6, 4)
    assert (x[:, 0, :3].argmax(axis=1) == y).all()
    np.testing.assert_array_equal(x[:, 0].sum(axis=1), 1.0)
    assert not x[:, 1:5].any()
    np.testing.assert_array_equal(x[:, 5], np.tile([0.0, 0.0, 0.0, 1.0], (500, 1)))


def test_that_the_noise_of_the_copy_task_is_on_every_input() -> None:
    clean, noisy = (
        drawn(make("copy_task", size=2000, delay=3, noise=noise)) for noise in (0.0, 0.2)
    )
    np.testing.assert_array_equal(clean[1], noisy[1])
    spread = (noisy[0] - clean[0]).std(axis=0)
    np.testing.assert_allclose(spread, 0.2, rtol=5.0 / math.sqrt(2.0 * 2000.0))
    assert make("copy_task", delay=0).shape().inputs == (2, 5)
