"""The demonstrations on symmetry, minima and saddles, against closed forms and brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import torch

from optlab.curvature.critical_points import name as named
from optlab.objective.seeding import numpy_generator
from optlab.studies import demonstrations
from optlab.studies.demonstrations import (
    bad_minima,
    random_functions,
    random_matrix_index,
    symmetry,
)
from optlab.studies.demonstrations._fits import (
    line,
    rank_correlation,
    ranks,
    resampled,
    share_interval,
)
from optlab.studies.demonstrations._networks import network
from optlab.studies.demonstrations._trigonometric import drawn, expected_kinds, waves
from optlab.studies.demonstrations.base import Column, DemonstrationResult
from optlab.studies.demonstrations.index_against_cost import IndexAgainstCost
from optlab.studies.demonstrations.linear_autoencoder_starts import levels, reproducing


def result(name: str, **values: Any) -> DemonstrationResult:
    return list(demonstrations.build(name, values).run())[-1]


# --- fits ------------------------------------------------------------------------------------------------------------------------


def test_that_fits_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(30), rng.integers(0, 6, 30).astype(float)
    expected = scipy.stats.linregress(x, y)
    assert line(x, y) == pytest.approx((expected.slope, expected.intercept))
    assert rank_correlation(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    np.testing.assert_allclose(ranks(y), scipy.stats.rankdata(y))
    assert math.isnan(rank_correlation(x, np.ones(30)))
    for hits, trials in ((0, 10), (3, 10), (10, 10), (200, 1000)):
        wilson = scipy.stats.binomtest(hits, trials).proportion_ci(method="wilson")
        assert share_interval(hits, trials) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    low, high = resampled(x, lambda some: float(some.mean()), np.random.default_rng(1), times=4000)
    half = 1.96 * x.std() / math.sqrt(30)
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.05)


# --- C4 --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relu_network() -> tuple[Any, torch.Tensor]:
    made = network(
        {"name": "iris"},
        {"name": "mlp", "hidden": [4, 3], "activation": "relu"},
        {"name": "cross_entropy"},
    )
    return made, made.starts([3], {"name": "he", "bias": 0.1})


def test_that_a_swap_exchanges_units_and_leaves_every_output(
    relu_network: tuple[Any, torch.Tensor],
) -> None:
    made, theta = relu_network
    for layer, one, two in ((0, 0, 3), (1, 1, 2)):
        after = symmetry.swapped(made.objective, theta, layer, one, two)
        before, now = made.objective.layout.named(theta), made.objective.layout.named(after)
        torch.testing.assert_close(
            now[f"layers.{layer}.weight"][0, one],
            before[f"layers.{layer}.weight"][0, two],
            rtol=0,
            atol=0,
        )
        torch.testing.assert_close(
            now[f"layers.{layer + 1}.weight"][0, :, two],
            before[f"layers.{layer + 1}.weight"][0, :, one],
            rtol=0,
            atol=0,
        )
        assert (after - theta).norm() > 0.5
        outputs = [made.objective.outputs(point, made.x.unsqueeze(0)) for point in (theta, after)]
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-13)


def test_that_a_relu_unit_can_be_scaled_and_its_gradient_scales_the_other_way(
    relu_network: tuple[Any, torch.Tensor],
) -> None:
    made, theta = relu_network
    after = symmetry.scaled(made.objective, theta, 0, 1, 4.0)
    outputs = [made.objective.outputs(point, made.x.unsqueeze(0)) for point in (theta, after)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-13)
    # J(D θ) = J(θ) for a diagonal D, so its gradient there is D⁻¹ g.
    before, now = (
        made.objective.layout.named(made.landscape.value_and_gradient(point)[1])
        for point in (theta, after)
    )
    torch.testing.assert_close(now["layers.0.weight"][0, 1], before["layers.0.weight"][0, 1] / 4.0)
    torch.testing.assert_close(
        now["layers.1.weight"][0, :, 1], before["layers.1.weight"][0, :, 1] * 4.0
    )


def test_that_a_change_beyond_rounding_is_not_called_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "which is rounding error" in result("symmetry", hidden=[3], steps=5).sentence
    exact = symmetry.swapped
    monkeypatch.setattr(symmetry, "swapped", lambda *given: exact(*given) * (1.0 + 1e-6))
    said = result("symmetry", hidden=[3], steps=5).sentence
    assert "which is more than rounding error" in said


def test_that_the_symmetry_bench_counts_arrangements_and_sees_that_tanh_does_not_scale() -> None:
    found = result("symmetry", hidden=[3, 4], steps=20, swaps=2)
    assert found.numbers["arrangements"] == math.factorial(3) * math.factorial(4)
    assert (
        found.numbers["largest_relative_change"] < 1e-14 and found.numbers["largest_distance"] > 1.0
    )
    assert all(abs(change) < 1e-13 for change in found.table.column("change of J / J"))
    ends = found.plots[0].curves[0].y
    assert ends[0] == pytest.approx(ends[-1], rel=1e-12) and ends.max() > 1.5 * ends[0]
    bent = result("symmetry", hidden=[3], steps=20, activation="tanh")
    changes: dict[str, list[float]] = {"swap": [], "scale": []}
    for row in bent.table.rows:
        changes.get(str(row[0]), []).append(abs(float(row[4])))  # type: ignore[arg-type]
    assert max(changes["swap"]) < 1e-13 and max(changes["scale"]) > 1e-3


# --- C5 --------------------------------------------------------------------------------------------------------------------------


def test_that_one_sigmoid_unit_has_two_minima_on_each_axis_and_all_levels_are_found() -> None:
    def one(w: float) -> float:
        return 0.5 * sum(
            (1.0 / (1.0 + math.exp(-w * x)) - y) ** 2
            for x, y in zip(bad_minima.AXIS_X, bad_minima.AXIS_Y, strict=True)
        )

    grid = np.linspace(-12.0, 12.0, 4801)
    heights = np.array([one(w) for w in grid])
    inside = np.flatnonzero((heights[1:-1] < heights[:-2]) & (heights[1:-1] < heights[2:])) + 1
    minima = sorted(
        scipy.optimize.minimize_scalar(one, bracket=(grid[i - 1], grid[i], grid[i + 1])).fun
        for i in inside
    )
    assert len(minima) == 2
    found = result("bad_minima", inputs=3, starts=300)
    expected = sorted(
        {round(float(np.mean(choice)), 6) for choice in itertools.product(minima, repeat=3)}
    )
    np.testing.assert_allclose(found.table.column("J"), expected, atol=2e-6)
    assert set(found.table.column("kind")) == {"minimum"}
    assert sum(found.table.column("starts")) == 300 and 0.5 < found.numbers["share_above"] < 1.0
    w = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    assert float(bad_minima.single_unit(w)) == pytest.approx(0.5 * (one(0.3) + one(-0.2)))


def test_that_some_starts_on_the_exclusive_or_end_high_and_more_units_make_them_rare() -> None:
    narrow = result("bad_minima", network="exclusive_or", units=2, starts=60, spread=1.0)
    wide = result("bad_minima", network="exclusive_or", units=12, starts=60, spread=1.0)
    assert narrow.numbers["lowest"] < 1e-12 and wide.numbers["lowest"] < 1e-12
    assert narrow.numbers["share_above"] > 0.5 > 0.1 > wide.numbers["share_above"]
    # Where every unit is dead the best that is left is the mean target, ½, and its squared error ¼.
    assert narrow.table.column("J")[-1] == pytest.approx(0.25, abs=1e-9)
    assert max(narrow.table.column("gradient norm")) < 1e-6


# --- C8 --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "count"), [(2, 400), (3, 60)])
def test_that_every_critical_point_is_found(n: int, count: int) -> None:
    """Against scipy's root finder from a dense lattice of starts of its own."""
    rng = np.random.default_rng(n)
    function = drawn(waves(n, 3), rng)
    points, lawful = function.critical_points(rng)
    assert lawful
    gradients, hessians = function.slopes(points)
    assert np.abs(gradients).max() < 1e-8
    step = 1e-5
    for axis in range(n):
        shift = step * np.eye(n)[axis]
        np.testing.assert_allclose(
            (function.values(points + shift) - function.values(points - shift)) / (2 * step),
            0.0,
            atol=1e-7,
        )
        by_differences = (
            function.slopes(points + shift)[0] - function.slopes(points - shift)[0]
        ) / (2 * step)
        np.testing.assert_allclose(by_differences, hessians[:, axis], atol=1e-6)
    other = np.random.default_rng(99).uniform(0.0, 2 * math.pi, (count, n))
    for start in other:
        root = scipy.optimize.root(
            lambda x: function.slopes(x[None])[0][0],
            start,
            jac=lambda x: function.slopes(x[None])[1][0],
            tol=1e-12,
        )
        if root.success:
            away = np.abs(np.exp(1j * root.x) - np.exp(1j * points)).max(axis=1)
            assert away.min() < 1e-5, "scipy found a critical point that the count has not"


def test_that_the_wave_vectors_hold_one_of_each_pair() -> None:
    k = waves(2, 2)
    assert {tuple(row) for row in k.astype(int).tolist()} | {
        tuple(-i for i in row) for row in k.astype(int).tolist()
    } == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)}
    assert len(k) == 4


def test_that_the_expected_counts_agree_with_rice_and_with_isotropic_fields() -> None:
    rng = np.random.default_rng(0)
    # In one dimension f' is a stationary Gaussian process, and Rice's formula is exact: 2 √(λ₄/λ₂)
    # zeros a turn.
    k = waves(1, 9)
    rice = 2.0 * math.sqrt(float((k**4).sum() / (k**2).sum()))
    assert expected_kinds(k, rng, 400_000).sum() == pytest.approx(rice, rel=5e-3)
    # In two dimensions saddles are half of all, whatever the field (the Euler characteristic is
    # zero), and minima a quarter.
    kinds = expected_kinds(waves(2, 3), rng, 400_000)
    assert kinds / kinds.sum() == pytest.approx([0.25, 0.5, 0.25], abs=5e-3)
    for n in (1, 2):
        k = waves(n, 3)
        counts = []
        for number in range(40):
            own = numpy_generator(number, f"test/{n}")
            function = drawn(k, own)
            counts.append(function.kinds(function.critical_points(own)[0]))
        found = np.stack(counts)
        error = found.sum(axis=1).std(ddof=1) / math.sqrt(len(found)) + 1e-9
        assert (
            abs(found.sum(axis=1).mean() - expected_kinds(k, rng, 200_000).sum())
            < 4.0 * error + 0.05
        )


def test_that_saddles_outnumber_minima_by_a_factor_with_each_dimension() -> None:
    found = result("random_functions", largest=3, functions=10)
    per_minimum = found.table.column("saddles per minimum")
    # Maxima and minima balance: Σ (−1)ⁱ Nᵢ = 0 leaves about two saddles a minimum in the plane.
    assert per_minimum[0] == 0.0 and per_minimum[1] == pytest.approx(2.0, rel=0.1)
    assert "cannot tell the two apart" in found.sentence
    assert found.table.column("complete counts") == found.table.column("functions") == [10, 10, 10]
    assert (
        found.numbers["factor_low"] > 1.5
        and found.numbers["factor_low"] < found.numbers["factor"] < found.numbers["factor_high"]
    )
    np.testing.assert_allclose(per_minimum, found.table.column("predicted per minimum"), rtol=0.25)
    assert found.table.column("share of saddles") == sorted(found.table.column("share of saddles"))


def growth(values: np.ndarray, error: float) -> random_functions.Growth:
    n = np.arange(2.0, 2.0 + len(values))
    noise = np.random.default_rng(0).standard_normal((400, len(values)))
    return random_functions.Growth(n, values, values * np.exp(error * noise))


def test_that_the_law_of_growth_is_the_one_that_the_counts_follow() -> None:
    n = np.arange(2.0, 7.0)
    exponential, power = growth(3.0**n, 0.02), growth(n**2.5, 0.02)
    assert "The exponential fits the counts better than the power law" in exponential.sentence
    assert exponential.figures["factor"] == pytest.approx(3.0)
    assert exponential.figures["aic_difference_high"] < 0.0
    assert "The power law fits the counts better than the exponential" in power.sentence
    assert power.figures["exponent"] == pytest.approx(2.5)
    assert power.figures["aic_difference_low"] > 0.0
    assert "do not tell them apart" in growth(3.0 ** n[:3], 0.3).sentence
    assert "Neither fits" in growth(np.array([1.0, 50.0, 1.0, 50.0, 1.0]), 0.02).sentence


def test_that_the_semicircle_law_is_the_integral_of_a_semicircle() -> None:
    for h in (-2.5, -1.3, 0.0, 0.7, 2.0, 3.0):
        integral = scipy.integrate.quad(
            lambda x: math.sqrt(max(0.0, 4.0 - x * x)) / (2.0 * math.pi),
            -2.0,
            min(max(h, -2.0), 2.0),
        )[0]
        assert float(random_matrix_index.semicircle(np.array([h]))[0]) == pytest.approx(
            integral, abs=1e-6
        )


def test_that_random_matrices_have_their_law_and_their_known_chances() -> None:
    values = random_matrix_index.eigenvalues(40, 100, 0, demonstrations.base.NO_PROGRESS)
    assert values is not None
    # tr M² / n = (n − 1)/n + 2/n
    assert np.square(values).mean() == pytest.approx(1.0 + 1.0 / 40, rel=0.02)
    found = result("random_matrix_index", sizes=[60], matrices=60, heights=9, signs=100_000)
    assert found.numbers["largest_deviation"] < 0.01
    chances = {row[1]: row[3] for row in found.table.rows if row[0] == "all positive"}
    # Exact for the Gaussian orthogonal ensemble of size 1, 2 and 3.
    exact = {
        1: 0.5,
        2: (2.0 - math.sqrt(2.0)) / 4.0,
        3: (math.pi - 2.0 * math.sqrt(2.0)) / (4.0 * math.pi),
    }
    for n, chance in exact.items():
        assert chances[n] == pytest.approx(chance, abs=4.0 * math.sqrt(chance / 100_000))
    rows = {row[1]: row for row in found.table.rows if row[0] == "all positive"}
    predicted = found.table.columns.index(Column("predicted"))
    low, high = (found.table.columns.index(Column(name)) for name in ("low", "high"))
    for n, chance in exact.items():
        assert rows[n][predicted] == pytest.approx(chance, rel=1e-12)
        assert rows[n][low] <= chance <= rows[n][high]
    # No closed form is stated for larger sizes, and the law of large n is not one.
    assert rows[4][predicted] is None and rows[5][predicted] is None
    assert "leading order" in found.sentence and "times too large" in found.sentence


# --- C9, C10, C11 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "code", "depth", "steps"), [("iris", 1, 2, 2500), ("iris", 2, 3, 4500)]
)
def test_that_linear_autoencoders_end_at_the_residual_of_pca(
    dataset: str, code: int, depth: int, steps: int
) -> None:
    from sklearn.decomposition import PCA

    found = result(
        "linear_autoencoder_starts",
        dataset=dataset,
        code=code,
        depth=depth,
        starts=8,
        steps=steps,
        spread=0.3,
    )
    x = reproducing(dataset, code, depth).training.x
    fitted = PCA(n_components=code).fit(x)
    residual = float(
        np.square(x - fitted.inverse_transform(fitted.transform(x))).sum(axis=1).mean()
    )
    assert found.numbers["least"] == pytest.approx(residual, rel=1e-9)
    assert found.numbers["arrived"] == 1.0
    ends = [row[3] for row in found.table.rows if row[0] == "end"]
    assert min(ends) >= residual * (1.0 - 1e-9) and max(ends) <= residual + 1e-3


def test_that_plateaus_are_saddles_at_costs_that_a_choice_of_components_leaves() -> None:
    found = result("linear_autoencoder_starts", starts=20, steps=1500, saddles=5)
    plateaus = [row for row in found.table.rows if row[0] == "plateau"]
    assert len(plateaus) == 5 and found.numbers["saddles"] == 5
    assert all(
        row[6] == "saddle" and int(row[5]) > 0 and abs(float(row[4])) < 1e-9 for row in plateaus
    )  # type: ignore[arg-type]
    variances = np.array([3.0, 2.0, 0.5])
    assert dict(levels(variances, 1)) == pytest.approx({(): 5.5, (0,): 2.5, (1,): 3.5, (2,): 5.0})


def test_that_critical_points_are_critical_and_rise_with_their_index() -> None:
    found = result("index_against_cost", runs=3, at=[5, 50])
    assert max(found.table.column("gradient norm")) < 1e-7
    kinds = list(zip(found.table.column("kind"), found.table.column("index"), strict=True))
    assert all((index > 0) == (kind == "saddle") for kind, index in kinds)
    assert found.numbers["rank_correlation"] > 0.5
    assert abs(found.numbers["by_chance"]) < found.numbers["rank_correlation"]


def test_that_costs_of_other_points_are_correlated_by_chance_alone() -> None:
    share, cost = np.arange(20.0), np.arange(20.0) ** 2
    chance = [IndexAgainstCost(seed=seed)._by_chance(share, cost) for seed in range(400)]
    assert np.mean(chance) == pytest.approx(0.0, abs=4.0 / math.sqrt(19 * 400))
    assert np.var(chance) == pytest.approx(1.0 / 19.0, rel=0.3)  # of ranks in a random order


def test_that_newton_is_drawn_to_a_saddle_that_the_others_leave() -> None:
    found = result("newton_at_saddles", units=2, steps=40)
    figures = found.numbers
    assert (
        figures["newton_distance"]
        < 1e-6
        < 0.03
        < min(figures["saddle_free_distance"], figures["descent_distance"])
    )
    assert figures["newton_cost"] == pytest.approx(figures["saddle_cost"], abs=1e-9)
    assert max(figures["saddle_free_cost"], figures["descent_cost"]) < figures["saddle_cost"] - 1e-4
    assert found.table.column("kind")[:2] == ["saddle", "saddle"]
    assert found.table.column("index")[0] == found.table.column("index")[1] > 0


def test_that_a_saddle_is_named_by_the_same_numbers_as_a_dense_hessian_gives() -> None:
    from optlab.studies.demonstrations._critical import reached, small_network

    made = small_network("iris", 2, 0.03)
    point = next(one for one in reached(made, 0, 4, (0.5,), (5,)) if one is not None)
    dense = torch.autograd.functional.hessian(
        lambda t: made.objective.total(t.unsqueeze(0), made.x.unsqueeze(0), made.y.unsqueeze(0))[0],
        point.theta[0],
    )
    values = torch.linalg.eigvalsh(dense)
    torch.testing.assert_close(values, point.verdict.eigenvalues, rtol=1e-8, atol=1e-9)
    assert (
        point.verdict.index
        == int((values < -point.verdict.threshold).sum())
        == named(made.landscape, point.theta).index
    )
