"""Steps within a ball against direct solves, against NumPy, and against decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch

from optlab.numerics.trust_region import DampedSteps, steihaug


def test_that_a_saddle_is_left_along_the_direction_that_leads_down() -> None:
    """½(x² − y²) at (1, 10⁻³): the boundary is reached along the curvature that is negative."""
    matrix = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    g = torch.tensor([[1.0, -1e-3]], dtype=torch.float64)
    found = steihaug(lambda v: v @ matrix, g, 2.0, iterations=10, tolerance=1e-12)
    assert found.negative and found.at_boundary and found.products == 2
    assert float(found.p.norm()) == pytest.approx(2.0, rel=1e-12)
    assert float(found.p[0, 1]) > 1.5
    model = float((g * found.p).sum() + 0.5 * (found.p * (found.p @ matrix)).sum())
    assert found.value == pytest.approx(model, rel=1e-12)
    # No point of the circle is better than it by much.
    angle = torch.linspace(0.0, 6.283185307, 20001, dtype=torch.float64)
    circle = 2.0 * torch.stack([angle.cos(), angle.sin()], dim=1)
    values = circle @ g[0] + 0.5 * (circle * (circle @ matrix)).sum(dim=1)
    assert found.value <= 0.75 * float(values.min())


def test_that_a_region_that_does_not_bind_gives_the_solution() -> None:
    source = torch.Generator().manual_seed(1)
    root = torch.randn(9, 6, dtype=torch.float64, generator=source)
    matrix, g = root.T @ root, torch.randn(1, 6, dtype=torch.float64, generator=source)
    found = steihaug(lambda v: v @ matrix, g, 1e6, iterations=50, tolerance=1e-13)
    torch.testing.assert_close(found.p[0], -torch.linalg.solve(matrix, g[0]), rtol=1e-9, atol=1e-11)
    assert not found.at_boundary and found.products <= 8
    inner = steihaug(
        lambda v: v @ matrix, g, 0.5 * float(found.p.norm()), iterations=50, tolerance=1e-13
    )
    assert inner.at_boundary and not inner.negative
    assert float(inner.p.norm()) == pytest.approx(0.5 * float(found.p.norm()), rel=1e-12)
    limited = steihaug(lambda v: v @ matrix, g, 1e6, iterations=2, tolerance=1e-13)
    assert limited.products == 2 and not limited.at_boundary
    quadratic = float((g * limited.p).sum() + 0.5 * (limited.p * (limited.p @ matrix)).sum())
    assert limited.value == pytest.approx(quadratic, rel=1e-12)


@pytest.mark.parametrize("gap", [1e-10, 0.3])
def test_that_negative_curvature_is_followed_to_the_better_end_of_the_chord(gap: float) -> None:
    """The second direction is conjugate to the first; decimal arithmetic finds both its ends."""
    matrix = torch.diag(torch.tensor([2.0, -20.0], dtype=torch.float64))
    g = torch.tensor([[1.0, 0.3]], dtype=torch.float64)
    first = -g * float((g @ g.T) / (g @ matrix @ g.T))
    radius = float(first.norm()) * (1.0 + gap)
    found = steihaug(lambda v: v @ matrix, g, radius, iterations=5, tolerance=1e-14)
    assert found.negative and found.at_boundary and found.products == 2
    with localcontext() as context:
        context.prec = 60
        x, y = (Decimal(value) for value in first[0].tolist())
        slopes = [Decimal(value) for value in g[0].tolist()]
        # At right angles to (2, −20) · g.
        u, v = 20 * slopes[1], 2 * slopes[0]
        a, b, c = u * u + v * v, 2 * (x * u + y * v), x * x + y * y - Decimal(radius) ** 2
        root = (b * b - 4 * a * c).sqrt()
        ends = [(x + t * u, y + t * v) for t in ((-b - root) / (2 * a), (-b + root) / (2 * a))]
        values = [slopes[0] * p + slopes[1] * q + p * p - 10 * q * q for p, q in ends]
        best = values.index(min(values))
        # The direction leads downhill at first, so this end lies behind the first iterate.
        assert (ends[best][0] - x) * x + (ends[best][1] - y) * y < 0
    expected = [float(value) for value in ends[best]]
    np.testing.assert_allclose(found.p[0].numpy(), expected, rtol=1e-13)
    assert found.value == pytest.approx(float(values[best]), rel=1e-13)


def test_that_a_gradient_and_a_radius_whose_squares_vanish_give_a_step_to_the_boundary() -> None:
    g = torch.tensor([[3e-100, -4e-100]], dtype=torch.float64)
    found = steihaug(lambda v: -2.0 * v, g, 1e-100, iterations=5, tolerance=0.0)
    np.testing.assert_allclose(found.p[0].numpy(), [-0.6e-100, 0.8e-100], rtol=1e-14)
    assert found.negative and found.at_boundary
    assert found.value == pytest.approx(-6e-200, rel=1e-14, abs=0.0)


def test_that_a_radius_whose_square_is_zero_gives_a_step_within_it() -> None:
    g = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    found = steihaug(lambda v: -v, g, 1e-170, iterations=5, tolerance=0.0)
    assert float(found.p.abs().max()) <= 1e-170 and found.at_boundary


@pytest.mark.parametrize("g", [(0.0, 0.0), (0.3, -0.4)])
def test_that_a_gradient_within_the_tolerance_asks_for_no_product(g: tuple[float, float]) -> None:
    def product(v: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    tolerance = 0.6 if g[1] else 0.0
    found = steihaug(
        product, torch.tensor([g], dtype=torch.float64), 1.0, iterations=5, tolerance=tolerance
    )
    assert found.p.tolist() == [[0.0, 0.0]]
    assert found.value == 0.0 and found.products == 0
    assert not found.at_boundary and not found.negative


def test_that_a_solution_without_a_residual_ends_the_search_at_any_tolerance() -> None:
    g = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    found = steihaug(lambda v: 2.0 * v, g, 10.0, iterations=5, tolerance=0.0)
    assert found.p.tolist() == [[-1.5, -2.0]]
    assert found.value == -6.25 and found.products == 1 and not found.at_boundary


def test_that_the_damped_step_is_the_solution_of_the_trust_region() -> None:
    """Against the definition: on the boundary to a tenth, and the solution of the damped system."""
    source = torch.Generator().manual_seed(4)
    root = torch.randn(7, 5, dtype=torch.float64, generator=source)
    matrix, b = root.T @ root, torch.randn(5, dtype=torch.float64, generator=source)
    steps = DampedSteps(matrix.unsqueeze(0), b.unsqueeze(0))
    free = -torch.linalg.solve(matrix, b)
    for share in (0.9, 0.5, 0.1, 1e-3):
        radius = share * float(free.norm())
        q, alpha = steps.within(radius, 0.0)
        assert abs(float(q.norm()) - radius) <= 0.1 * radius
        exact = -torch.linalg.solve(matrix + alpha * torch.eye(5, dtype=torch.float64), b)
        torch.testing.assert_close(q[0], exact, rtol=1e-9, atol=1e-12)
    q, alpha = steps.within(1.2 * float(free.norm()), 3.0)
    assert alpha == 0.0
    torch.testing.assert_close(q[0], free, rtol=1e-9, atol=1e-12)


def test_that_a_singular_matrix_gives_the_step_of_least_norm() -> None:
    matrix = torch.diag(torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64)).unsqueeze(0)
    steps = DampedSteps(matrix, torch.tensor([[4.0, 0.0, 5.0]], dtype=torch.float64))
    q, alpha = steps.within(10.0, 0.0)
    assert alpha == 0.0 and q.tolist() == [[-2.0, 0.0, -1.0]]
    q, alpha = steps.within(1.0, 0.0)
    assert alpha > 0.0 and abs(float(q.norm()) - 1.0) <= 0.1


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("seed", range(4))
def test_that_directions_that_are_zero_up_to_rounding_are_left_out(size: float, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    root = torch.randn(3, 7, dtype=torch.float64, generator=source)
    matrix, b = size * root.T @ root, torch.randn(7, dtype=torch.float64, generator=source)
    expected = -np.linalg.pinv(matrix.numpy(), hermitian=True, rcond=1e-12) @ b.numpy()
    q, alpha = DampedSteps(matrix.unsqueeze(0), b.unsqueeze(0)).within(1e12 / size, 0.0)
    assert alpha == 0.0
    np.testing.assert_allclose(q[0].numpy(), expected, rtol=1e-9, atol=1e-12 / size)


@pytest.mark.parametrize(
    ("values", "b", "radius", "guess"),
    [
        ([0.0, 1.5e-15, 1e-13, 1.0], [0.0, 2.9e-16, 2.4e-14, 0.071], 0.163, 0.0),
        ([0.0, 4.8e-15, 0.31, 1.0], [0.0, 9e-14, 0.14, 1.7], 2.6, 0.0),
        ([0.0, 1e-12, 1e-11, 1.0], [0.0, 5e-12, 3e-12, 0.3], 0.55, 1e5),
        ([1e-6, 1.0], [1e-3, 1.0], 100.0, 1e-9),
        ([1e-6, 1.0], [1e-3, 1.0], 1e-3, 0.0),
    ],
)
def test_that_a_step_of_the_radius_is_found_for_eigenvalues_of_any_size(
    values: list[float], b: list[float], radius: float, guess: float
) -> None:
    diagonal, right = np.array(values), np.array(b)
    steps = DampedSteps(
        torch.tensor(np.diag(diagonal)).unsqueeze(0), torch.tensor([b], dtype=torch.float64)
    )
    q, alpha = steps.within(radius, guess)
    assert abs(np.linalg.norm(q[0].numpy()) - radius) <= 0.1 * radius
    np.testing.assert_allclose(q[0].numpy(), -right / (diagonal + alpha), rtol=1e-9)


def test_that_nothing_to_follow_is_a_step_of_zero() -> None:
    steps = DampedSteps(torch.eye(2).unsqueeze(0), torch.zeros(1, 2))
    q, alpha = steps.within(1.0, 0.5)
    assert q.tolist() == [[0.0, 0.0]] and alpha == 0.0


@pytest.mark.parametrize("exponent", [-100, -70, 100])
@pytest.mark.parametrize("least", [0.0, 0.5])
def test_that_units_do_not_change_a_damped_step_in_single_precision(
    exponent: int, least: float
) -> None:
    """Squares of such numbers are out of range, the numbers are not; powers of two are exact."""
    matrix, b = torch.diag(torch.tensor([least, 1.0, 4.0])), torch.tensor([0.0, 2.0, -3.0])
    q, alpha = DampedSteps(matrix.unsqueeze(0), b.unsqueeze(0)).within(0.5, 0.0)
    assert alpha > 0.0
    unit = 2.0**exponent
    of_loss = DampedSteps(unit * matrix.unsqueeze(0), unit * b.unsqueeze(0)).within(0.5, 0.0)
    torch.testing.assert_close(of_loss[0], q)
    assert of_loss[1] == pytest.approx(unit * alpha, rel=1e-5, abs=0.0)
    of_points = DampedSteps(matrix.unsqueeze(0), unit * b.unsqueeze(0)).within(0.5 * unit, 0.0)
    torch.testing.assert_close(of_points[0] / unit, q)
    assert of_points[1] == pytest.approx(alpha, rel=1e-5)
