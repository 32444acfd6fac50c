"""Eigenvalues, trace and density against dense linear algebra and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.curvature import extremes as search
from optlab.curvature import spectrum
from optlab.curvature.extremes import extremes
from optlab.curvature.landscape import FunctionLandscape
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator

Problem = tuple[Objective, torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def problem() -> Problem:
    """Three runs of a small network on 40 examples that they share; P = 102."""
    source = torch.Generator().manual_seed(2)
    objective = Objective(
        MLP(hidden=(11,), activation="tanh"), CrossEntropy(l2=0.01), DataShape((5,), 3, "classes")
    )
    theta = 0.6 * torch.randn(3, objective.layout.total, generator=source, dtype=torch.float64)
    x = torch.randn(40, 5, generator=source, dtype=torch.float64)
    return objective, theta, x, torch.randint(0, 3, (40,), generator=source)


def multiply(matrix: torch.Tensor) -> search.Product:
    return lambda v: torch.einsum("rpq,rq->rp", matrix, v)


def test_that_eigenvalues_at_both_ends_are_those_of_the_matrix_to_1e_8(problem: Problem) -> None:
    expected = torch.linalg.eigvalsh(spectrum.hessian(*problem).dense())
    found = spectrum.extreme_eigenvalues(*problem, top=4, bottom=3)
    assert found.converged.all() and (found.residuals <= 1e-5).all()
    torch.testing.assert_close(found.top, expected[:, -4:].flip(1), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found.bottom, expected[:, :3], rtol=1e-8, atol=1e-9)


def test_that_eigenvalues_agree_with_scipys_eigsh(problem: Problem) -> None:
    objective, theta, x, y = problem
    here = spectrum.hessian(objective, theta[:1], x, y)

    def product(v: np.ndarray) -> np.ndarray:
        return here.product(torch.from_numpy(v.reshape(1, -1).copy()))[0].numpy()

    p = theta.shape[1]
    operator = scipy.sparse.linalg.LinearOperator((p, p), matvec=product, dtype=np.float64)
    expected = np.sort(
        scipy.sparse.linalg.eigsh(operator, k=3, which="LA", return_eigenvectors=False)
    )[::-1]
    found = extremes(here.product, theta[:1], top=3)
    np.testing.assert_allclose(found.top[0].numpy(), expected, rtol=1e-8)


def test_that_vectors_are_unit_eigenvectors_and_residuals_are_true(problem: Problem) -> None:
    found = spectrum.extreme_eigenvalues(*problem, top=3, bottom=2)
    vectors = torch.cat([found.top_vectors, found.bottom_vectors], dim=1)
    values = torch.cat([found.top, found.bottom], dim=1)
    torch.testing.assert_close(
        vectors @ vectors.transpose(1, 2),
        torch.eye(5, dtype=torch.float64).expand(3, 5, 5),
        rtol=0,
        atol=1e-9,
    )
    residual = torch.linalg.vector_norm(
        spectrum.hvp(*problem, vectors) - values.unsqueeze(2) * vectors, dim=2
    ).amax(dim=1)
    torch.testing.assert_close(residual / found.top[:, 0], found.residuals, rtol=1e-3, atol=1e-10)


def test_that_a_run_gets_among_others_what_it_gets_alone(problem: Problem) -> None:
    objective, theta, x, y = problem
    together = spectrum.extreme_eigenvalues(objective, theta, x, y, top=2)
    for run in range(3):
        alone = spectrum.extreme_eigenvalues(objective, theta[run : run + 1], x, y, top=2)
        assert alone.products[0] == together.products[run]
        torch.testing.assert_close(alone.top[0], together.top[run], rtol=1e-10, atol=0)


def test_that_a_warm_start_needs_fewer_products(problem: Problem) -> None:
    objective, theta, x, y = problem
    cold = spectrum.extreme_eigenvalues(objective, theta, x, y)
    moved = theta + 1e-3
    again = spectrum.extreme_eigenvalues(objective, moved, x, y)
    warm = spectrum.extreme_eigenvalues(objective, moved, x, y, start=cold.top_vectors)
    torch.testing.assert_close(warm.top, again.top, rtol=1e-8, atol=0)
    assert (warm.products < again.products).all()


def test_that_a_warm_start_finds_an_eigenvector_that_has_overtaken() -> None:
    values = torch.linspace(0.0, 1.0, 60, dtype=torch.float64)
    values[-1] = 3.0
    start = torch.zeros(1, 60, dtype=torch.float64)
    start[0, -2] = 1.0
    found = extremes(multiply(torch.diag(values).unsqueeze(0)), start, start=start)
    assert found.top[0, 0].item() == pytest.approx(3.0, rel=1e-8)


def test_that_a_warm_start_is_judged_at_every_product_from_the_fourth_on() -> None:
    values = torch.linspace(0.0, 1.0, 60, dtype=torch.float64)
    values[-1] = 3.0
    matrix = torch.diag(values).unsqueeze(0)
    start = torch.full((1, 60), 0.5 / 60**0.5, dtype=torch.float64)
    start[0, -1] = 1.0
    start /= torch.linalg.vector_norm(start)
    for tolerance, products in ((1e-2, 4), (1e-7, 5), (1e-9, 6)):
        found = extremes(multiply(matrix), start, start=start, settle="value", tolerance=tolerance)
        assert found.top[0, 0].item() == pytest.approx(3.0, rel=tolerance)
        assert found.products[0] == products


def test_that_settling_for_the_value_from_a_warm_start_needs_fewer_products(
    problem: Problem,
) -> None:
    expected = torch.linalg.eigvalsh(spectrum.hessian(*problem).dense())[:, -1]
    start = spectrum.extreme_eigenvalues(problem[0], problem[1] + 1e-3, *problem[2:]).top_vectors
    vector = spectrum.extreme_eigenvalues(*problem, start=start)
    value = spectrum.extreme_eigenvalues(*problem, start=start, settle="value")
    assert (
        value.products <= vector.products
    ).all() and value.products.sum() < vector.products.sum()
    assert ((value.top[:, 0] - expected).abs() <= 1e-5 * expected).all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-5])
def test_that_settled_values_are_within_the_tolerance(tolerance: float) -> None:
    """On 30 networks: from random starts within the tolerance, from warm ones within ten times of
    it, where a copy of an eigenvalue may come late.
    """
    for seed in range(30):
        source = torch.Generator().manual_seed(seed)
        classes = seed % 2 == 0
        activation = ("tanh", "relu", "sigmoid")[seed % 3]
        shape = DataShape((5,), 3, "classes" if classes else "regression")
        objective = Objective(
            MLP(hidden=((6,), (8, 5), (12,))[seed // 3 % 3], activation=activation),
            CrossEntropy() if classes else SquaredError(),
            shape,
        )
        theta = (0.2 + 0.2 * (seed % 5)) * torch.randn(
            1, objective.layout.total, generator=source, dtype=torch.float64
        )
        x = torch.randn(40, 5, generator=source, dtype=torch.float64)
        y = (
            torch.randint(0, 3, (40,), generator=source)
            if classes
            else torch.randn(40, 3, generator=source, dtype=torch.float64)
        )
        matrix = spectrum.hessian(objective, theta, x, y).dense()
        exact = torch.linalg.eigvalsh(matrix)[0]
        scale = float(exact.abs().max())
        shaken = (
            torch.randn(matrix.shape[1:], generator=source, dtype=torch.float64)
            * 0.01
            * scale
            / len(exact) ** 0.5
        )
        near = torch.linalg.eigh(matrix[0] + shaken + shaken.T).eigenvectors.T
        for top, bottom in ((1, 0), (2, 2)):
            wanted = torch.cat([exact.flip(0)[:top], exact[:bottom]])
            start = torch.cat([near[len(near) - top :], near[:bottom]]).unsqueeze(0)
            for begin, share in ((None, 1.0), (start, 10.0)):
                found = extremes(
                    multiply(matrix),
                    theta,
                    top=top,
                    bottom=bottom,
                    start=begin,
                    tolerance=tolerance,
                    settle="value",
                )
                error = (
                    float((torch.cat([found.top[0], found.bottom[0]]) - wanted).abs().max()) / scale
                )
                assert error <= share * tolerance, (seed, top, bottom, begin is not None)


def test_that_restarts_lose_nothing(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = torch.linalg.eigvalsh(spectrum.hessian(*problem).dense())
    monkeypatch.setattr(search, "_MAX_BASIS", 1)
    found = spectrum.extreme_eigenvalues(*problem, top=2, bottom=2, max_products=5000)
    assert found.converged.all() and (found.products > 20).all()
    torch.testing.assert_close(found.top, expected[:, -2:].flip(1), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found.bottom, expected[:, :2], rtol=1e-8, atol=1e-9)


def test_that_too_few_products_are_reported() -> None:
    matrix = torch.diag(torch.linspace(0.0, 1.0, 300, dtype=torch.float64)).unsqueeze(0)
    found = extremes(multiply(matrix), torch.zeros(1, 300, dtype=torch.float64), max_products=6)
    assert not found.converged.any() and found.products[0] == 6 and found.residuals[0] > 1e-5


@pytest.mark.parametrize(
    "values, top",
    [
        ((2.0,) * 5, [2.0, 2.0]),
        ((5.0, 5.0, 1.0, 1.0), [5.0, 5.0]),
        ((0.0, 0.0, 0.0), [0.0, 0.0]),
        ((7.0,), [7.0]),
    ],
)
def test_that_invariant_spaces_do_not_end_the_search(
    values: tuple[float, ...], top: list[float]
) -> None:
    diagonal = torch.tensor(values, dtype=torch.float64)
    found = extremes(multiply(torch.diag(diagonal).unsqueeze(0)), diagonal.unsqueeze(0), top=2)
    np.testing.assert_allclose(found.top[0].numpy(), top[: len(values)], rtol=1e-10, atol=1e-12)


def test_that_a_hessian_of_nan_gives_nan_and_no_convergence() -> None:
    matrix = torch.stack(
        [torch.eye(6, dtype=torch.float64), torch.full((6, 6), float("nan"), dtype=torch.float64)]
    )
    found = extremes(multiply(matrix), torch.zeros(2, 6, dtype=torch.float64))
    assert found.top[0, 0].item() == pytest.approx(1.0)
    assert found.top[1].isnan().all() and not found.converged[1]


def test_that_the_trace_lies_within_its_standard_error(problem: Problem) -> None:
    exact = spectrum.hessian(*problem).dense().diagonal(dim1=1, dim2=2).sum(dim=1)
    found = spectrum.trace(*problem, probes=400)
    assert ((found.mean - exact).abs() <= 4.0 * found.standard_error).all()
    # Var zᵀHz = 2 Σ_{i≠j} H_ij² for random signs.
    matrix = spectrum.hessian(*problem).dense()
    off = matrix - torch.diag_embed(matrix.diagonal(dim1=1, dim2=2))
    expected = (2.0 * off.square().sum(dim=(1, 2)) / 400).sqrt()
    torch.testing.assert_close(found.standard_error, expected, rtol=0.2, atol=0)
    with pytest.raises(InvalidInput, match="two probes"):
        spectrum.trace(*problem, probes=1)


def test_that_the_density_has_the_moments_of_the_spectrum(problem: Problem) -> None:
    matrix = spectrum.hessian(*problem).dense()
    found = spectrum.density(*problem, probes=100, steps=20)
    assert found.products == 100 * 20
    # 2·20 − 1 degrees are exact for the probes themselves; over the probes the mean is that of the
    # spectrum.
    source = generator(0, "density")
    z = torch.stack(
        [2.0 * torch.randint(0, 2, (102,), generator=source) - 1.0 for _ in range(100)]
    ).double()
    for power in range(5):
        image = torch.linalg.matrix_power(matrix, power)
        seen = torch.einsum("np,rpq,nq->rn", z, image, z) / 102
        torch.testing.assert_close(found.moments[:, power], seen.mean(dim=1), rtol=1e-9, atol=0)
        exact = image.diagonal(dim1=1, dim2=2).mean(dim=1)
        assert (
            (found.moments[:, power] - exact).abs() <= 4.0 * seen.std(dim=1) / 10.0 + 1e-12
        ).all()
    torch.testing.assert_close(
        torch.trapezoid(found.density, found.grid),
        torch.ones(3, dtype=torch.float64),
        rtol=2e-3,
        atol=0,
    )
    smoothed = torch.trapezoid(found.density * found.grid, found.grid)
    torch.testing.assert_close(smoothed, found.moments[:, 1], rtol=2e-2, atol=0)


def test_that_a_quadrature_is_exact_for_the_probe_that_made_it() -> None:
    """With random signs on a diagonal matrix every probe sees all eigenvalues alike, so the moments
    are exact up to degree 2k − 1.
    """
    values = torch.linspace(-1.0, 2.0, 30, dtype=torch.float64)
    here = FunctionLandscape(lambda theta: 0.5 * (values * theta.square()).sum(dim=1)).hessian(
        torch.zeros(1, 30, dtype=torch.float64)
    )
    found = spectrum.density_of(here, probes=1, steps=3, moments=6)
    exact = torch.stack([(values**power).mean() for power in range(6)])
    torch.testing.assert_close(found.moments[0], exact, rtol=1e-10, atol=1e-12)
    assert (found.nodes >= -1.0 - 1e-12).all() and (found.nodes <= 2.0 + 1e-12).all()


def test_that_the_full_spectrum_counts_signs() -> None:
    diagonal = torch.tensor([-2.0, -1.0, 0.0, 1e-9, 3.0], dtype=torch.float64)
    here = FunctionLandscape(lambda theta: 0.5 * (diagonal * theta.square()).sum(dim=1)).hessian(
        torch.ones(1, 5, dtype=torch.float64)
    )
    found = spectrum.full_spectrum_of(here, vectors=True)
    assert (int(found.negative[0]), int(found.zero[0]), float(found.negative_share[0])) == (
        2,
        2,
        pytest.approx(0.4),
    )
    assert found.vectors is not None
    torch.testing.assert_close(found.values[0], diagonal, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        found.vectors[0].abs(), torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_that_convexity_is_reported_along_a_path() -> None:
    """x⁴ − 2x² + y² is convex where |x| ≥ 1/√3."""
    landscape = FunctionLandscape(lambda p: p[:, 0] ** 4 - 2.0 * p[:, 0] ** 2 + p[:, 1] ** 2)
    x = torch.linspace(-1.0, 1.0, 21, dtype=torch.float64)
    smallest, convex = spectrum.convexity(landscape, torch.stack([x, torch.zeros_like(x)], dim=1))
    torch.testing.assert_close(
        smallest,
        torch.minimum(12.0 * x**2 - 4.0, torch.tensor(2.0, dtype=torch.float64)),
        rtol=0,
        atol=1e-12,
    )
    assert convex.tolist() == [abs(value) >= 3.0**-0.5 for value in x.tolist()]
