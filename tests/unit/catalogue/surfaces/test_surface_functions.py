"""Surfaces against the literature, finite differences and scipy."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput

EVERY = [cast(type[Surface], component) for component in registry.components("surface")]
each = pytest.mark.parametrize(
    "surface", [component() for component in EVERY], ids=[component.name for component in EVERY]
)


def make(name: str, **values: object) -> Surface:
    return registry.build(Surface, {"name": name, **values})


def value(surface: Surface, *point: float) -> float:
    return float(surface.value(torch.tensor(point, dtype=torch.float64)))


def gradient(surface: Surface, points: torch.Tensor) -> torch.Tensor:
    leaf = points.clone().requires_grad_()
    return torch.autograd.grad(surface.value(leaf).sum(), leaf)[0]


def scattered(surface: Surface, count: int) -> torch.Tensor:
    low, high = (
        torch.tensor([interval[end] for interval in surface.domain()], dtype=torch.float64)
        for end in (0, 1)
    )
    return low + (high - low) * torch.rand(
        count, surface.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )


@each
def test_that_the_gradient_agrees_with_finite_differences(surface: Surface) -> None:
    points = scattered(surface, 200)
    result = gradient(surface, points)
    for axis in range(surface.dimension):
        shift = torch.zeros(surface.dimension, dtype=torch.float64)
        shift[axis] = 1e-6
        differences = (surface.value(points + shift) - surface.value(points - shift)) / 2e-6
        rounding = 1e-9 * surface.value(points).abs() + 1e-3 * result.norm(dim=1) * 1e-2
        assert ((result[:, axis] - differences).abs() <= rounding + 1e-7).all()


@each
def test_that_values_are_computed_over_any_leading_axes_and_are_finite_in_the_domain(
    surface: Surface,
) -> None:
    points = scattered(surface, 24)
    values = surface.value(points)
    assert values.shape == (24,) and torch.isfinite(values).all()
    assert torch.equal(surface.value(points.view(2, 3, 4, -1)).flatten(), values)
    assert surface.value(points[0]).shape == ()


@each
def test_that_starts_lie_in_the_domain_and_have_different_names(surface: Surface) -> None:
    starts = surface.starts()
    assert starts and len({start.label for start in starts}) == len(starts)
    for start in starts:
        assert all(
            low <= x <= high for x, (low, high) in zip(start.point, surface.domain(), strict=True)
        )


@each
def test_that_known_points_have_their_height_and_no_slope(surface: Surface) -> None:
    for known in surface.known():
        assert value(surface, *known.point) == pytest.approx(known.value, abs=1e-6)
        assert gradient(surface, torch.tensor([known.point], dtype=torch.float64)).norm() < 2e-6
        ring = torch.randn(
            200, surface.dimension, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        around = torch.tensor(known.point, dtype=torch.float64) + 0.05 * ring / ring.norm(
            dim=1, keepdim=True
        )
        higher = float((surface.value(around) > known.value).double().mean())
        expected = {"minimum": (1.0, 1.0), "kink": (1.0, 1.0), "maximum": (0.0, 0.0)}.get(
            known.kind, (0.2, 0.8)
        )
        assert expected[0] <= higher <= expected[1]


@pytest.mark.parametrize(
    ("name", "point", "height"),
    [
        ("parabola", (3.0,), 4.5),
        ("minimum", (-1.0,), 2.0**0.5 - 1.0),
        ("maximum", (1.0,), np.exp(-0.5)),
        ("inflection", (1.0,), 1.75),
        ("saddle", (3.0, 2.0), 5.0),
        ("monkey_saddle", (2.0, 1.0), 2.0),
        ("plateau", (1.0, 2.0), 1.0 - np.exp(-2.5)),
        ("mountain", (0.5, 1.0), 2.0 * np.exp(-0.5) / np.cosh(0.5) ** 2 - np.tanh(0.5)),
        ("cliff", (0.2, 1.0), 8.0 / (1.0 + np.exp(-2.0)) + np.sqrt(0.05) + 0.25),
        ("rosenbrock", (-1.2, 1.0), 24.2),
        ("beale", (1.0, 1.0), 14.203125),
        ("himmelblau", (0.0, 0.0), 170.0),
        ("rastrigin", (0.5, 0.5), 40.5),
        ("ackley", (1.0, 1.0), 3.6253849384403627),
        ("goldstein_price", (0.0, 0.0), 600.0),
        ("styblinski_tang", (1.0, 1.0), -10.0),
    ],
)
def test_that_heights_away_from_the_minima_are_those_of_the_literature(
    name: str, point: tuple[float, ...], height: float
) -> None:
    assert value(make(name), *point) == pytest.approx(height, abs=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "quadratic",
        "rosenbrock",
        "beale",
        "himmelblau",
        "rastrigin",
        "goldstein_price",
        "styblinski_tang",
        "valleys",
    ],
)
def test_that_scipy_comes_to_the_known_minima(name: str) -> None:
    surface = make(name)
    for known in surface.known():
        if known.kind == "minimum":
            begin = np.array(known.point) + 0.02
            result = scipy.optimize.minimize(
                lambda p: value(surface, *p),
                begin,
                method="Nelder-Mead",
                options={"xatol": 1e-9, "fatol": 1e-14},
            )
            assert result.x == pytest.approx(known.point, abs=1e-6)
            assert result.fun == pytest.approx(known.value, abs=1e-6)


@pytest.mark.parametrize(("condition", "angle"), [(5.0, -45.0), (1.0, 0.0), (300.0, 20.0)])
def test_that_the_quadratic_has_the_requested_condition_and_direction(
    condition: float, angle: float
) -> None:
    surface = make("quadratic", condition=condition, angle=angle)
    hessian = torch.autograd.functional.hessian(
        surface.value, torch.tensor([1.0, 2.0], dtype=torch.float64)
    ).numpy()
    eigenvalues, vectors = np.linalg.eigh(hessian)
    assert eigenvalues == pytest.approx([1.0, condition])
    if condition > 1.0:
        along = (np.cos(np.radians(angle)), np.sin(np.radians(angle)))
        assert abs(vectors[:, 0] @ along) == pytest.approx(1.0)


def test_that_the_mountain_has_its_lower_asymptote_on_the_right() -> None:
    surface = make("mountain")
    assert value(surface, 400.0, 0.0) == pytest.approx(-1.0) and value(
        surface, -400.0, 0.0
    ) == pytest.approx(1.0)


def test_that_ackleys_minimum_has_a_gradient_of_zero_and_none_that_is_not_a_number() -> None:
    assert gradient(make("ackley"), torch.zeros(1, 2, dtype=torch.float64)).tolist() == [[0.0, 0.0]]


def test_that_the_domain_of_a_formula_must_have_a_width() -> None:
    with pytest.raises(
        InvalidInput, match=r"surface.x_from is 2, but it must be below surface.x_to, 2"
    ):
        make("formula", x_from=2.0)
