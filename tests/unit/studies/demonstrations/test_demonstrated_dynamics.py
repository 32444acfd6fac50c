"""The demonstrations on powers, chains, widths and local moves, against closed forms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

from optlab.core.errors import InvalidInput
from optlab.numerics.boltzmann import Machine
from optlab.objective.seeding import generator
from optlab.studies import demonstrations
from optlab.studies.demonstrations import cd_bias, powers_of_w
from optlab.studies.demonstrations._fits import share_interval
from optlab.studies.demonstrations._networks import network
from optlab.studies.demonstrations.base import DemonstrationResult, stream
from optlab.studies.demonstrations.local_moves import best_of


def result(name: str, **values: Any) -> DemonstrationResult:
    return list(demonstrations.build(name, values).run())[-1]


# --- C15 -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("angle", "skew"), [(0.0, 1.0), (0.7, 1.0), (math.pi, 50.0), (2.0, 50.0)])
def test_that_a_matrix_has_the_spectrum_that_was_asked_for(angle: float, skew: float) -> None:
    w, values, vectors = powers_of_w.matrix(7, 0.8, 0.25, angle, skew, np.random.default_rng(0))
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(w)), np.sort_complex(values.astype(complex)), atol=1e-9
    )
    sizes = np.sort(np.abs(values))[::-1]
    pair = 1 if angle in (0.0, math.pi) else 2
    assert sizes[:pair] == pytest.approx([0.8] * pair) and (sizes[pair:] <= 0.6 + 1e-12).all()
    assert np.abs(np.angle(values[np.argmax(np.abs(values))])) == pytest.approx(angle)
    np.testing.assert_allclose(w @ vectors, vectors * values, atol=1e-9)
    if skew == 1.0:
        np.testing.assert_allclose(w @ w.T, w.T @ w, atol=1e-12)  # normal


def test_that_powers_agree_with_numpys_and_grow_or_decay_by_the_radius() -> None:
    rng = np.random.default_rng(1)
    w, values, vectors = powers_of_w.matrix(5, 1.1, 0.2, 0.4, 3.0, rng)
    x, g = rng.standard_normal((2, 5))
    norms, apart = powers_of_w.powers(w, values, vectors, x, g, 12)
    for t in (0, 1, 12):
        power = np.linalg.matrix_power(w, t)
        assert norms[t] == pytest.approx(
            [np.linalg.norm(power @ x), np.linalg.norm(power @ x), np.linalg.norm(power.T @ g)]
        )
    assert apart < 1e-12
    for radius, words in ((0.8, "decays"), (1.0, "neither"), (1.2, "grows")):
        found = result("powers_of_w", size=6, radius=radius, times=200, length=4, units=3)
        assert found.numbers["rate"] == pytest.approx(radius, rel=2e-3) and words in found.sentence
        assert found.numbers["difference"] < 1e-10


def test_that_the_gradient_by_the_input_of_a_linear_rnn_goes_with_powers_of_its_weights() -> None:
    data = {"name": "adding_problem", "length": 9, "size": 12}
    made = network(
        data, {"name": "rnn", "units": 4, "activation": "identity"}, {"name": "squared_error"}
    )
    theta = made.starts([0], {"name": "gaussian", "std": 0.5})
    powers_of_w.with_radius(made, theta, 0.7)
    named = {name: value[0].numpy() for name, value in made.objective.layout.named(theta).items()}
    assert np.abs(np.linalg.eigvals(named["recurrent.weight"])).max() == pytest.approx(0.7)
    with torch.no_grad():
        residual = (made.objective.outputs(theta, made.x[None])[0] - made.y).numpy()[:, 0]
    found = powers_of_w.by_time_step(made, theta)
    for t in range(9):
        back = (
            np.linalg.matrix_power(named["recurrent.weight"].T, 8 - t) @ named["output.weight"][0]
        )
        expected = np.linalg.norm(2.0 / 12 * residual) * np.linalg.norm(
            named["input.weight"].T @ back
        )
        assert found[t] == pytest.approx(expected, rel=1e-9)


def test_that_the_lstm_keeps_more_of_the_first_steps_gradient_than_a_contracting_rnn() -> None:
    found = result("powers_of_w", size=4, times=5, radius=0.8, length=40, units=8)
    assert found.numbers["LSTM: first / last"] > 10.0 * found.numbers["Simple RNN: first / last"]
    assert [len(curve.x) for curve in found.plots[2].curves] == [40, 40]


# --- C16 -------------------------------------------------------------------------------------------------------------------------


def test_that_the_second_eigenvalue_is_that_of_the_chain_by_enumeration() -> None:
    rng = np.random.default_rng(0)
    w, b, c = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal(2)
    machine = Machine(*(torch.from_numpy(part).unsqueeze(0) for part in (w, b, c)))
    visible, hidden = (np.array(list(itertools.product((0.0, 1.0), repeat=n))) for n in (3, 2))
    joint = np.exp(visible @ b + (hidden @ c)[:, None] + hidden @ w @ visible.T)  # [h, v]
    chain = (joint / joint.sum(axis=1, keepdims=True)) @ (
        joint / joint.sum(axis=0, keepdims=True)
    ).T
    values = np.sort(np.abs(np.linalg.eigvals(chain)))[::-1]
    assert values[0] == pytest.approx(1.0)
    assert cd_bias.second_eigenvalue(machine) == pytest.approx(values[1], rel=1e-10)


def test_that_the_bias_falls_with_k_by_the_second_eigenvalue_and_is_larger_for_larger_weights() -> (
    None
):
    found = result("cd_bias", visible=4, hidden=3, examples=10, largest=12)
    for scale in (0.5, 1.0, 2.0):
        bias = [row[3] for row in found.table.rows if row[0] == scale]
        seen = [value for value in bias if value > 1e-9]
        assert seen == sorted(seen, reverse=True) and len(seen) > 3
        if scale >= 1.0:
            assert found.numbers[f"factor at {scale:g}"] == pytest.approx(
                found.numbers[f"eigenvalue at {scale:g}"], rel=0.02
            )
    first = [found.numbers[f"relative_bias_1 at {scale:g}"] for scale in (0.5, 1.0, 2.0)]
    assert first[0] < first[2]


def test_that_the_bias_is_that_of_a_gradient_by_enumeration() -> None:
    """CD-1's expectation and the exact gradient from the joint distribution written out, for the
    demonstration's own draws.
    """
    found = result("cd_bias", visible=3, hidden=2, examples=5, largest=2)
    source = generator(0, stream("cd_bias"))
    v = (torch.rand(1, 5, 3, generator=source, dtype=torch.float64) < 0.7).double()[0].numpy()
    w = torch.randn(1, 2, 3, generator=source, dtype=torch.float64)[0].numpy()
    b, c = (
        0.3 * torch.randn(1, units, generator=source, dtype=torch.float64)[0].numpy()
        for units in (3, 2)
    )
    visible, hidden = (np.array(list(itertools.product((0.0, 1.0), repeat=n))) for n in (3, 2))
    joint = np.exp(visible @ b + (hidden @ c)[:, None] + hidden @ w @ visible.T)
    up, down = joint / joint.sum(axis=0, keepdims=True), joint / joint.sum(axis=1, keepdims=True)

    def statistics(p: Any) -> Any:
        h = scipy.special.expit(visible @ w.T + c)
        return np.concatenate(
            [
                ((p[:, None, None] * h[:, :, None]) * visible[:, None, :]).sum(axis=0).ravel(),
                p @ visible,
                p @ h,
            ]
        )

    data = np.array([(v == state).all(axis=1).mean() for state in visible])
    once = down.T @ (up @ data)
    exact = statistics(joint.sum(axis=0) / joint.sum()) - statistics(data)
    bias = np.linalg.norm(statistics(once) - statistics(data) - exact)
    row = next(row for row in found.table.rows if row[0] == 1.0 and row[1] == 1)
    assert row[2] == pytest.approx(bias, rel=1e-9) and row[3] == pytest.approx(
        bias / np.linalg.norm(exact), rel=1e-9
    )


# --- C17 -------------------------------------------------------------------------------------------------------------------------


def test_that_the_best_of_several_starts_is_counted_over_all_choices() -> None:
    values = np.array([-1.0, 0.9, 0.8, -0.5, 0.7, 0.6])
    tries = np.array([1.0, 2.0, 3.0, 5.0])
    expected = [
        np.mean([min(some) < 0.0 for some in itertools.combinations(values, int(r))]) for r in tries
    ]
    np.testing.assert_allclose(best_of(values, tries), expected, rtol=1e-12)


def test_that_left_of_the_mountain_descent_fails_on_the_axis_and_goes_around_beside_it() -> None:
    found = result("local_moves", starts=40, steps=600)
    rows = found.table.rows
    assert all(row[6] <= row[5] * (1.0 + 1e-12) for row in rows), (
        "no path is shorter than the distance that it covers"
    )  # type: ignore[operator]
    assert all((row[8] == "lower ground") == (row[4] < 0.0) for row in rows)  # type: ignore[operator]
    assert 0.2 < found.numbers["share"] < 1.0 and found.numbers["longest"] > 1.3
    low, needed, high = (found.numbers[key] for key in ("needed_low", "needed", "needed_high"))
    assert 1.0 <= low <= needed <= high > low and f"between {low:g} and {high:g}" in found.sentence
    lost = result("local_moves", starts=20, left=-3.0, right=-1.2, height=0.001, steps=100)
    assert lost.numbers["share"] == 0.0 and min(lost.table.column("height")) > 0.0
    right = result("local_moves", starts=20, left=0.5, right=2.0, steps=300)
    assert right.numbers["share"] == 1.0
    image = found.plots[0].image
    assert (
        image is not None
        and image.values.shape == (101, 101)
        and image.x == (-6.0, 6.0)
        and image.y == (-4.0, 4.0)
    )
    assert image.values[50, 0] == pytest.approx(1.0, abs=1e-3) and image.values[
        50, -1
    ] == pytest.approx(-1.0, abs=1e-3)
    with pytest.raises(InvalidInput, match="must be greater than left"):
        result("local_moves", left=1.0, right=0.5)


def test_that_the_starts_needed_have_an_interval_that_holds_the_truth() -> None:
    """Of two starts with one success each, 95% intervals of the share are 9% to 91%."""
    low, high = share_interval(1, 2)
    assert low == pytest.approx(0.0945, abs=1e-3) and high == pytest.approx(0.9055, abs=1e-3)


# --- C18 -------------------------------------------------------------------------------------------------------------------------


def test_that_narrow_networks_fail_and_wide_ones_succeed() -> None:
    found = result("width_success", widths=[8, 2], starts=16, steps=500)
    assert " up to " not in found.sentence, "widths between were not tried"
    assert found.table.column("width") == [2, 8]
    narrow, wide = found.table.rows
    assert narrow[4] == 0.0 and float(wide[4]) >= 0.8  # type: ignore[arg-type]
    assert narrow[1] == 2 * 2 + 2 + 2 * 2 + 2 and wide[1] == 2 * 8 + 8 + 8 * 2 + 2
    assert (found.numbers["widest_failing"], found.numbers["narrowest_succeeding"]) == (
        2.0,
        8.0 if float(wide[4]) >= 0.9 else 0.0,
    )  # type: ignore[arg-type]
    assert len(found.plots[1].scatters[0].x) == 32
