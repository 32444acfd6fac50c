"""The finder and the names, on surfaces with known critical points and on small networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from optlab.catalogue.datasets.iris import Iris
from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.deep_linear import DeepLinear
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape
from optlab.curvature import critical_points
from optlab.curvature.critical_points import find, name
from optlab.curvature.landscape import FunctionLandscape, ObjectiveLandscape
from optlab.curvature.newton_steps import Spectrum
from optlab.objective.objective import Objective

Function = Callable[[torch.Tensor], torch.Tensor]


def himmelblau(p: torch.Tensor) -> torch.Tensor:
    x, y = p.unbind(1)
    return (x**2 + y - 11.0) ** 2 + (x + y**2 - 7.0) ** 2


def rosenbrock(p: torch.Tensor) -> torch.Tensor:
    x, y = p.unbind(1)
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def saddle(p: torch.Tensor) -> torch.Tensor:
    return p[:, 0] ** 2 - p[:, 1] ** 2


def point(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    "function, start, end, kind, index",
    [
        (saddle, (0.7, 1.3), (0.0, 0.0), "saddle", 1),
        (himmelblau, (2.7, 2.3), (3.0, 2.0), "minimum", 0),
        (himmelblau, (-2.7, 3.0), (-2.805118086952745, 3.131312518250573), "minimum", 0),
        (himmelblau, (-0.2, -1.0), (-0.270844590667, -0.923038554795), "maximum", 2),
        (himmelblau, (3.2, 0.2), (3.385154183607, 0.073851879837), "saddle", 1),
        (rosenbrock, (-1.2, 1.0), (1.0, 1.0), "minimum", 0),
        (lambda p: -(p.square().sum(dim=1)) + p[:, 0], (3.0, 3.0), (0.5, 0.0), "maximum", 2),
    ],
)
def test_that_the_search_ends_at_the_known_point_and_classifies_it(
    function: Function, start: tuple[float, float], end: tuple[float, float], kind: str, index: int
) -> None:
    landscape = FunctionLandscape(function)
    found = find(landscape, point(*start))
    assert found.converged, found.problem
    torch.testing.assert_close(found.theta, point(*end), rtol=0, atol=1e-7)
    verdict = name(landscape, found.theta)
    assert (verdict.kind, verdict.index, verdict.critical, verdict.complete) == (
        kind,
        index,
        True,
        True,
    )
    assert found.norms[-1] == found.norms.min() and len(found.norms) == found.steps + 1 == len(
        found.path
    )
    torch.testing.assert_close(found.path[0], point(*start)[0])
    torch.testing.assert_close(found.path[-1], found.theta[0])


@pytest.mark.parametrize(
    "function, kind, zeros",
    [
        (lambda p: p[:, 0] ** 2 + p[:, 1] ** 4, "degenerate", 1),
        (lambda p: -(p[:, 0] ** 2) - p[:, 1] ** 4, "degenerate", 1),
        (lambda p: p[:, 0] ** 3 - 3.0 * p[:, 0] * p[:, 1] ** 2, "flat", 2),
        (lambda p: 3.0 + 0.0 * p.sum(dim=1), "flat", 2),
    ],
)
def test_that_second_derivatives_that_do_not_decide_are_reported_as_such(
    function: Function, kind: str, zeros: int
) -> None:
    verdict = name(FunctionLandscape(function), point(0.0, 0.0))
    assert (verdict.kind, verdict.zeros, verdict.critical) == (kind, zeros, True)


def test_that_a_saddle_with_a_flat_direction_is_still_a_saddle() -> None:
    verdict = name(
        FunctionLandscape(lambda p: p[:, 0] ** 2 - p[:, 1] ** 2 + p[:, 2] ** 4),
        point(0.0, 0.0, 0.0),
    )
    assert (verdict.kind, verdict.index, verdict.zeros) == ("saddle", 1, 1)
    torch.testing.assert_close(
        verdict.eigenvectors[0].abs(), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    )


def test_that_the_naming_tolerance_is_relative_to_the_largest_eigenvalue() -> None:
    landscape = FunctionLandscape(lambda p: 0.5e6 * p[:, 0] ** 2 - 0.5 * p[:, 1] ** 2)
    assert name(landscape, point(0.0, 0.0), zero=1e-7).kind == "saddle"
    assert name(landscape, point(0.0, 0.0), zero=1e-5).kind == "degenerate"


def test_that_a_point_with_a_gradient_is_reported_as_not_critical() -> None:
    verdict = name(FunctionLandscape(saddle), point(1.0, 0.0))
    assert not verdict.critical and verdict.sentence.startswith("not critical")


def test_that_a_minimum_of_the_gradient_that_is_no_zero_is_reported() -> None:
    found = find(
        FunctionLandscape(lambda p: p[:, 0] + p[:, 0] ** 3 + p[:, 1] ** 2), point(1.0, 1.0)
    )
    assert not found.converged and "no" in found.problem
    assert found.gradient_norm == pytest.approx(1.0, rel=1e-3)


def data(outputs: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(4)
    x = torch.randn(30, 3, generator=source, dtype=torch.float64)
    return x, torch.randn(30, outputs, generator=source, dtype=torch.float64)


def test_that_regression_ends_at_the_least_squares_solution() -> None:
    x, y = data()
    objective = Objective(Linear(), SquaredError(), DataShape((3,), 1, "regression"))
    landscape = ObjectiveLandscape(objective, x, y)
    found = find(landscape, torch.zeros(1, 4, dtype=torch.float64))
    design = torch.cat([x, torch.ones(30, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(
        found.theta[0], torch.linalg.lstsq(design, y).solution[:, 0], rtol=0, atol=1e-7
    )
    assert name(landscape, found.theta).kind == "minimum"


def test_that_a_deep_linear_network_at_zero_is_at_a_saddle_and_near_it_the_finder_goes_there() -> (
    None
):
    """With two matrices J has the strict saddle W = 0: the Hessian couples the factors only, so its
    eigenvalues come in pairs ±.
    """
    x, y = data(3)
    objective = Objective(
        DeepLinear(depth=2, width=3), SquaredError(), DataShape((3,), 3, "regression")
    )
    landscape = ObjectiveLandscape(objective, x, y)
    start = 0.02 * torch.randn(
        1, objective.layout.total, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    found = find(landscape, start)
    assert found.converged and found.theta.abs().max() < 1e-6
    verdict = name(landscape, found.theta)
    assert verdict.kind == "saddle" and verdict.index == 9
    torch.testing.assert_close(verdict.eigenvalues, -verdict.eigenvalues.flip(0), rtol=0, atol=1e-6)


def test_that_the_krylov_search_finds_what_the_exact_search_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = torch.Generator().manual_seed(3)
    x = torch.randn(60, 4, generator=source, dtype=torch.float64)
    y = torch.randint(0, 3, (60,), generator=source)
    objective = Objective(
        MLP(hidden=(5,), activation="tanh"), CrossEntropy(l2=0.05), DataShape((4,), 3, "classes")
    )
    landscape = ObjectiveLandscape(objective, x, y)
    start = 0.3 * torch.randn(1, objective.layout.total, generator=source, dtype=torch.float64)
    exact = find(landscape, start)
    monkeypatch.setattr(critical_points, "EXACT_UP_TO", 1)
    krylov = find(landscape, start)
    assert exact.converged and krylov.converged
    assert krylov.gradient_norm <= 1e-8 * 3.0
    one, other = name(landscape, exact.theta), name(landscape, krylov.theta)
    assert one.critical and other.critical
    monkeypatch.setattr(critical_points, "DENSE_UP_TO", 1)
    ends = name(landscape, krylov.theta)
    assert not ends.complete and ends.kind == other.kind
    torch.testing.assert_close(ends.eigenvalues[-4:], other.eigenvalues[-4:], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(ends.eigenvalues[:2], other.eigenvalues[:2], rtol=1e-6, atol=1e-7)


def along_training(activation: str, l2: float) -> tuple[ObjectiveLandscape, list[torch.Tensor]]:
    """A network on the irises, and 20 points of its training by plain gradient descent, from
    untrained to 600 steps.
    """
    part = Iris().load().training
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    objective = Objective(
        MLP(hidden=(6,), activation=activation), CrossEntropy(l2=l2), DataShape((4,), 3, "classes")
    )
    landscape = ObjectiveLandscape(objective, x, y)
    theta = 0.5 * torch.randn(
        1, objective.layout.total, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    at = {round(600 * (place / 19) ** 2) for place in range(20)}
    points = []
    for step in range(601):
        if step in at:
            points.append(theta.clone())
        theta = theta - 0.1 * landscape.value_and_gradient(theta)[1]
    return landscape, points


def test_that_the_finder_arrives_from_almost_everywhere_along_the_training_of_smooth_networks() -> (
    None
):
    landscape, points = along_training("tanh", 3e-3)
    assert len(points) == 20
    ends = [find(landscape, theta, tolerance=1e-8 / 4.0, steps=100) for theta in points]
    arrived = [end for end in ends if end.converged]
    assert len(arrived) >= 18
    for end in arrived:
        # Checked by a gradient of torch's own, and by going on from there: a critical point is left
        # by no Newton step.
        assert float(landscape.value_and_gradient(end.theta)[1].norm()) <= 1e-8
        assert find(landscape, end.theta).steps == 0
    verdicts = [name(landscape, end.theta) for end in arrived]
    assert all(verdict.critical for verdict in verdicts)
    # High ones have more directions down than low ones.
    rows = sorted((verdict.value, verdict.index) for verdict in verdicts)
    assert rows[0][1] == 0 and rows[-1][1] > 0


def test_that_the_search_on_a_network_with_kinks_ends_with_a_reason() -> None:
    landscape, points = along_training("relu", 3e-3)
    ends = [find(landscape, theta, steps=100) for theta in points[5:9]]
    lost = [end for end in ends if not end.converged]
    assert lost and all("no" in end.problem and end.gradient_norm > 1e-8 for end in lost)
    for end in lost:
        assert end.gradient_norm == pytest.approx(
            float(end.norms.min())
        ) and end.gradient_norm == pytest.approx(float(end.norms[-1]))


def test_that_the_second_phase_leaves_a_valley_of_the_gradients_norm() -> None:
    """x⁴/4 − x³/3·1.9 + x²/2: its derivative x(x² − 1.9x + 1) has one zero, x = 0, and a minimum
    that is none near x = 1.
    """
    landscape = FunctionLandscape(lambda p: (p**4 / 4.0 - 1.9 * p**3 / 3.0 + p**2 / 2.0).sum(dim=1))
    found = find(landscape, point(1.2))
    assert found.converged, found.problem
    torch.testing.assert_close(found.theta, point(0.0), rtol=0, atol=1e-7)


def test_that_a_step_downhill_turns_newtons_around_where_the_curvature_is_negative_and_ends_at_the_radius() -> (
    None
):
    values, slopes = (
        torch.tensor([-2.0, 4.0], dtype=torch.float64),
        torch.tensor([1.0, 1.0], dtype=torch.float64),
    )
    spectrum = Spectrum(values, torch.eye(2, dtype=torch.float64), slopes)
    step, coordinates = spectrum.step(10.0)
    torch.testing.assert_close(step, torch.tensor([[-0.5, -0.25]], dtype=torch.float64))
    torch.testing.assert_close(coordinates, step[0])
    short, _ = spectrum.step(0.1)
    assert float(short.norm()) == pytest.approx(0.1, rel=1e-9) and (short < 0.0).all()


def test_that_copies_of_an_eigenvalue_at_the_ends_are_all_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Well apart from all others, so that the search has found them long before rounding brings the
    copies in.
    """
    above, below = (
        [9.0, 9.0, 9.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.5, 4.0, 3.5, 3.0],
        [-6.0, -6.0, -6.0, -5.0, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5],
    )
    curvatures = torch.cat(
        [torch.linspace(-0.1, 0.1, 400 - len(above) - len(below)), torch.tensor(above + below)]
    ).double()
    turn = torch.linalg.qr(
        torch.randn(400, 400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ).Q
    matrix = turn @ torch.diag(curvatures) @ turn.T
    landscape = FunctionLandscape(lambda p: 0.5 * (p * (p @ matrix)).sum(dim=1))
    monkeypatch.setattr(critical_points, "DENSE_UP_TO", 1)
    verdict = name(landscape, torch.zeros(1, 400, dtype=torch.float64))
    assert (verdict.kind, verdict.index, verdict.complete) == ("saddle", 8, False)
    rising = curvatures.sort().values
    torch.testing.assert_close(
        verdict.eigenvalues, torch.cat([rising[:8], rising[-8:]]), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(
        verdict.eigenvectors @ verdict.eigenvectors.T,
        torch.eye(16, dtype=torch.float64),
        rtol=0,
        atol=1e-3,
    )


def test_that_a_krylov_space_far_smaller_than_p_is_enough_for_a_well_conditioned_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = torch.Generator().manual_seed(3)
    curvatures = torch.linspace(1.0, 4.0, 200, dtype=torch.float64)
    landscape = FunctionLandscape(lambda p: (0.5 * curvatures * p**2 + 0.1 * p**4).sum(dim=1))
    monkeypatch.setattr(critical_points, "EXACT_UP_TO", 1)
    monkeypatch.setattr(critical_points, "_KRYLOV", 8)
    found = find(landscape, torch.randn(1, 200, generator=source, dtype=torch.float64))
    assert found.converged and found.theta.abs().max() < 1e-7
    assert found.products <= 9 * found.steps


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_that_the_kind_of_a_point_does_not_depend_on_the_units_of_the_function(
    scale: float,
) -> None:
    kinds = [
        name(FunctionLandscape(lambda p, f=function: scale * f(p)), at).kind
        for function, at in (
            (saddle, point(0.0, 0.0)),
            (rosenbrock, point(1.0, 1.0)),
            (lambda p: 3.0 + 0.0 * p.sum(dim=1), point(0.0, 0.0)),
        )
    ]
    assert kinds == ["saddle", "minimum", "flat"]
