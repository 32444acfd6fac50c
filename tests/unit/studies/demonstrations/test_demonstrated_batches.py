"""The demonstrations on batches, against loops over examples, closed forms and synthetic costs."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.objective.seeding import generator
from optlab.studies import demonstrations
from optlab.studies.demonstrations import batch_cost
from optlab.studies.demonstrations._cost import cost_fit, fitted, peak_bytes, powers_of_two, seconds
from optlab.studies.demonstrations._networks import network
from optlab.studies.demonstrations._noise import batches, slope
from optlab.studies.demonstrations.base import DemonstrationResult, stream
from optlab.studies.demonstrations.gradient_noise import per_example


def result(name: str, **values: Any) -> DemonstrationResult:
    return list(demonstrations.build(name, values).run())[-1]


# --- B4 --------------------------------------------------------------------------------------------------------------------------


def test_that_per_example_gradients_are_those_of_a_loop_and_average_to_the_batch() -> None:
    made = network(
        {"name": "iris"}, {"name": "mlp", "hidden": [4]}, {"name": "cross_entropy", "l2": 0.1}
    )
    theta = made.starts([0], {"name": "he"})
    each = per_example(made, theta)
    for i in (0, 70, 149):
        one = made.objective.value_and_gradient(
            theta, made.x[None, i : i + 1], made.y[None, i : i + 1]
        )[1][0]
        np.testing.assert_allclose(each[i], one.numpy(), rtol=1e-12, atol=1e-14)
    some = torch.tensor([3, 3, 99, 120])
    whole = made.objective.value_and_gradient(theta, made.x[None, some], made.y[None, some])[1][0]
    np.testing.assert_allclose(
        each[some.numpy()].mean(axis=0), whole.numpy(), rtol=1e-12, atol=1e-14
    )


def test_that_random_batches_have_their_size_and_their_moments() -> None:
    rng = np.random.default_rng(0)
    for replace in (True, False):
        counts = batches(20, 5, 4000, rng, replace=replace)
        assert (counts.sum(axis=1) == 5).all() and (replace or counts.max() == 1)
        assert counts.mean(axis=0) == pytest.approx(np.full(20, 0.25), abs=0.04)
        left = 1.0 if replace else 15.0 / 19.0
        expected = 5 * 0.05 * 0.95 * left
        assert counts.var(axis=0).mean() == pytest.approx(expected, rel=0.05)


def test_that_the_slope_of_known_noise_is_found_with_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(0)
    sizes = 2.0 ** np.arange(8)
    inside, widths = 0, []
    for _ in range(40):
        squares = np.square(rng.standard_normal((8, 200)) * 3.0 / np.sqrt(sizes)[:, None])
        fit = slope(sizes, squares, rng)
        inside += fit.low <= -0.5 <= fit.high
        widths.append(fit.high - fit.low)
        assert math.exp(fit.intercept) == pytest.approx(3.0, rel=0.25)
    assert inside >= 34 and max(widths) < 0.1


@pytest.mark.parametrize("replacement", [True, False])
def test_that_measured_standard_errors_lie_on_the_law(replacement: bool) -> None:
    found = result(
        "gradient_noise",
        at=[2, 20],
        largest=64,
        draws=600,
        hidden=[4],
        examples=150,
        replacement=replacement,
    )
    measured, error, predicted = (
        np.array(found.table.column(name))
        for name in ("standard error", "error of it", "predicted")
    )
    assert np.abs((measured - predicted) / error).max() < 4.5
    sizes = np.array(found.table.column("batch size"), dtype=float)
    law = predicted * np.sqrt(sizes) / (1.0 if replacement else np.sqrt((150 - sizes) / 149))
    for step in (2, 20):
        mine = law[np.array(found.table.column("step")) == step]
        np.testing.assert_allclose(mine, mine[0], rtol=1e-12)
    # One example is a random one either way.
    other = result(
        "gradient_noise",
        at=[2],
        largest=4,
        draws=10,
        hidden=[4],
        examples=150,
        replacement=not replacement,
    )
    assert other.table.column("predicted")[0] == pytest.approx(predicted[0], rel=1e-12)
    assert (found.numbers["low"] <= -0.5 <= found.numbers["high"]) == replacement


def test_that_sigma_is_that_of_a_loop_over_the_digits() -> None:
    found = result("gradient_noise", at=[1], largest=4, draws=10, hidden=[3], examples=60)
    made = network({"name": "digits"}, {"name": "mlp", "hidden": [3]}, {"name": "cross_entropy"})
    x, y = made.x[:60], made.y[:60]
    theta = made.starts([0], {"name": "he"})
    theta = theta - 0.1 * made.objective.value_and_gradient(theta, x[None], y[None])[1]
    loop = [
        made.objective.value_and_gradient(theta, x[None, i : i + 1], y[None, i : i + 1])[1][
            0
        ].numpy()
        for i in range(60)
    ]
    sigma = math.sqrt(float(np.square(np.stack(loop) - np.mean(loop, axis=0)).sum(axis=1).mean()))
    assert found.table.column("predicted")[0] == pytest.approx(sigma, rel=1e-10)


def test_that_batches_too_large_to_be_without_replacement_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at most half of the 100 examples"):
        result("gradient_noise", examples=100, largest=64, replacement=False)


# --- B5 --------------------------------------------------------------------------------------------------------------------------


def test_that_the_two_parts_of_a_cost_are_told_apart() -> None:
    m = powers_of_two(4096)
    assert m.tolist() == [2.0**k for k in range(13)]
    assert fitted(m, 300.0 + 2.5 * m) == pytest.approx((300.0, 2.5), rel=1e-9)
    noisy = (300.0 + 2.5 * m) * (1.0 + 0.05 * np.random.default_rng(0).standard_normal(13))
    assert fitted(m, noisy) == pytest.approx((300.0, 2.5), rel=0.15)
    assert fitted(m, np.full(13, 7.0)) == pytest.approx((7.0, 0.0), abs=1e-9)
    a, b = fitted(m, 2.0 * m - 0.5)
    assert a == 0.0 and b == pytest.approx(2.0, rel=0.2)


def test_that_the_peak_is_what_results_hold_at_once() -> None:
    x = torch.ones(1000, dtype=torch.float64)

    def work() -> torch.Tensor:
        a = x + 1.0  # 8,000 bytes
        b = a * 2.0  # and as many
        a.add_(1.0)  # in place: nothing
        # views, of what there was before as well: nothing
        c = b.view(10, 100) if x.view(10, 100).ndim == 2 else b
        del a
        return c.sum() + b.exp().sum()  # 8,000 more, beside two numbers

    assert 16_000 <= peak_bytes(work, "cpu") <= 16_000 + 64
    kept: list[torch.Tensor] = []
    assert peak_bytes(lambda: kept.extend(x + i for i in range(5)), "cpu") == 40_000


def test_that_the_time_of_one_call_is_the_median_of_measurements_that_are_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, calls = [0.0], [0]

    def work() -> None:
        calls[0] += 1
        now[0] += 0.0001 if calls[0] % 50 else 0.01

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    # Batches of some twenty calls: every third or so has one that is a hundred times as long, which
    # a median of batches does not see.
    assert np.median(seconds(work, "cpu", 9)) == pytest.approx(0.0001, rel=1e-6)
    assert calls[0] > 9 * 20


def test_that_the_cost_of_a_batch_comes_with_intervals_and_is_refused_over_noise() -> None:
    rng = np.random.default_rng(0)
    m = 2.0 ** np.arange(13)
    law = (1e-4 + 2e-6 * m)[:, None]
    clean = cost_fit(m, law * np.exp(0.02 * rng.standard_normal((13, 15))), rng)
    assert clean.problem == "" and clean.deviation < 0.02
    assert clean.a_interval[0] < 1e-4 < clean.a_interval[1] < 1.1e-4
    assert clean.b_interval[0] < 2e-6 < clean.b_interval[1] < 2.2e-6
    assert clean.bend_interval[0] < 50.0 < clean.bend_interval[1] < 60.0
    noisy = cost_fit(m, law * np.exp(1.5 * rng.standard_normal((13, 3))), rng)
    assert "deviate" in noisy.problem and noisy.deviation > 0.25
    flat = cost_fit(m, 1e-4 * np.exp(0.02 * rng.standard_normal((13, 15))), rng)
    assert flat.problem == "the interval of the cost per example includes zero"


def test_that_a_line_that_the_times_do_not_support_is_not_stated_as_a_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        batch_cost, "seconds", lambda *_: 1e-3 * np.exp(1.5 * rng.standard_normal(3))
    )
    found = result("batch_cost", hidden=[4], largest=256, repetitions=3, device="cpu")
    assert "do not support this line" in found.sentence and "equal at m" not in found.sentence
    assert found.numbers["deviation"] > 0.25


def test_that_the_memory_of_a_step_grows_by_the_activations_of_an_example() -> None:
    found = result("batch_cost", hidden=[32], largest=256, repetitions=1, device="cpu")
    figures = found.numbers
    # At least the hidden layer before and after its activation and the outputs, 4 bytes each; at
    # most a few times that.
    assert 4 * (2 * 32 + 10) <= figures["bytes_per_example"] <= 4 * 6 * (2 * 32 + 10)
    parameters = 64 * 32 + 32 + 32 * 10 + 10
    assert 4 * parameters <= figures["fixed_bytes"] <= 12 * parameters
    assert math.isinf(figures["bend"]) or figures["bend"] * figures[
        "seconds_per_example"
    ] == pytest.approx(figures["fixed_seconds"])


# --- B6 --------------------------------------------------------------------------------------------------------------------------


def test_that_spreads_of_gradient_and_newton_step_agree_with_their_laws() -> None:
    """Linear regression by NumPy alone: gradients of single examples, and ordinary least squares."""
    d, m = 4, 256
    found = result(
        "first_and_second_order",
        dimension=d,
        condition=30.0,
        noise=0.5,
        smallest=m,
        largest=m * 2,
        draws=400,
    )
    place = found.table.column("batch size").index(m)
    dataset: Any = registry.build(
        "dataset",
        {
            "name": "least_squares",
            "dimension": d,
            "condition": 30.0,
            "noise": 0.5,
            "validation": 0.0,
            "test": 0.0,
        },
    )
    theta = (
        0.5
        * torch.randn(
            1, d + 1, generator=generator(0, stream("first_and_second_order")), dtype=torch.float64
        ).numpy()[0]
    )
    part = dataset.fresh(np.random.default_rng(5), 400_000)
    x = np.column_stack([part.x, np.ones(len(part.x))])
    each = 2.0 * x * (x @ theta - part.y[:, 0])[:, None]
    g, hessian = each.mean(axis=0), 2.0 * x.T @ x / len(x)
    newton = np.linalg.solve(hessian, each.T).T
    spread = [
        math.sqrt(one.var(axis=0).sum() / m) / np.linalg.norm(one.mean(axis=0))
        for one in (each, newton)
    ]
    assert found.table.column("spread of g")[place] == pytest.approx(spread[0], rel=0.08)
    assert found.table.column("spread of H⁻¹g, exact H")[place] == pytest.approx(
        spread[1], rel=0.08
    )
    # With g and H of one batch the step is θ less that batch's least-squares solution, whose
    # covariance is σ²(XᵀX)⁻¹.
    step = np.linalg.solve(hessian, g)
    own = math.sqrt(0.25 * np.trace(np.linalg.inv(x.T @ x / len(x))) / m) / np.linalg.norm(step)
    assert found.table.column("spread of H⁻¹g, H of the same batch")[place] == pytest.approx(
        own, rel=0.12
    )
    # With H of another batch there is no law so simple: batches drawn by hand.
    cut, apart = x[: 2 * m * 700].reshape(700, 2, m, d + 1), []
    for gradients, (first, second) in zip(
        each[: 2 * m * 700].reshape(700, 2, m, d + 1), cut, strict=True
    ):
        assert first.shape == second.shape == (m, d + 1)
        apart.append(np.linalg.solve(2.0 * second.T @ second / m, gradients[0].mean(axis=0)) - step)
    by_hand = math.sqrt(float(np.square(apart).sum(axis=1).mean())) / np.linalg.norm(step)
    assert found.table.column("spread of H⁻¹g, H of another batch")[place] == pytest.approx(
        by_hand, rel=0.12
    )


@pytest.mark.soak
def test_that_the_sizes_needed_come_with_intervals_that_shrink_with_the_draws() -> None:
    fields = {"dimension": 4, "condition": 30.0, "smallest": 64, "largest": 8192}
    found = result("first_and_second_order", draws=80, **fields)
    few = found.numbers
    many = result("first_and_second_order", draws=800, seed=1, **fields).numbers
    for name in ("first", "exact", "ratio"):
        assert few[f"{name}_low"] < few[name] < few[f"{name}_high"]
        wide, narrow = (math.log(one[f"{name}_high"] / one[f"{name}_low"]) for one in (few, many))
        # Intervals shrink as one over the square root of the number of draws.
        assert 1.5 < wide / narrow < 6.0
    sentence = found.sentence
    assert f"({few['first_low']:,.0f} to {few['first_high']:,.0f})" in sentence
    assert ("extrapolated" in sentence) == (
        max(few[name] for name in ("first", "exact", "same_batch", "another_batch")) > 8192
    )


def test_that_the_newton_step_needs_larger_batches_the_worse_the_condition() -> None:
    ratios = [
        result(
            "first_and_second_order", dimension=4, condition=kappa, draws=60, largest=1024
        ).numbers["ratio"]
        for kappa in (1.0, 30.0, 1000.0)
    ]
    assert ratios[0] < 3.0 < ratios[1] < 60.0 < ratios[2]
