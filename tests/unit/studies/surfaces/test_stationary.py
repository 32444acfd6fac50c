"""Critical points against the literature, algebra and scipy; basins against runs by themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.objective.surface_objective import picture
from optlab.studies.surfaces.descent import Contender, race
from optlab.studies.surfaces.stationary import ELSEWHERE, LOST, basins, critical_points, local

EVERY = [cast(Surface, component()) for component in registry.components("surface")]


def ground(name: str, **values: Any) -> Surface:
    return registry.build(Surface, {"name": name, **values})


def method(name: str, **values: Any) -> Optimizer:
    return registry.build(Optimizer, {"name": name, **values})


@pytest.mark.parametrize("surface", EVERY, ids=[surface.name for surface in EVERY])
def test_that_what_the_literature_knows_is_found_and_what_is_found_is_critical(
    surface: Surface,
) -> None:
    found = critical_points(surface)
    assert found.complete
    for known in surface.known():
        near = [point for point in found.points if np.abs(point.point - known.point).max() < 1e-6]
        assert [point.kind for point in near] == [known.kind]
        assert near[0].value == pytest.approx(known.value, abs=1e-6)
    for point in found.points:
        if point.kind != "kink":
            size = np.abs(point.eigenvalues).max()
            assert np.linalg.norm(point.gradient) <= 1e-7 * max(1.0, size)
            product = (
                torch.autograd.functional.hessian(
                    surface.value, torch.from_numpy(point.point)
                ).numpy()
                @ point.eigenvectors
            )
            assert product == pytest.approx(
                point.eigenvectors * point.eigenvalues, abs=1e-9 * max(1.0, size)
            )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("himmelblau", {"minimum": 4, "saddle": 4, "maximum": 1}),
        ("styblinski_tang", {"minimum": 4, "saddle": 4, "maximum": 1}),
        ("goldstein_price", {"minimum": 4, "saddle": 4, "maximum": 1}),
        # 11 minima and 10 maxima along each variable
        ("rastrigin", {"minimum": 121, "saddle": 220, "maximum": 100}),
        ("rosenbrock", {"minimum": 1}),
        ("mountain", {"maximum": 1}),
        ("plateau", {"minimum": 1}),
        ("cliff", {"minimum": 1}),
        ("monkey_saddle", {"degenerate": 1}),
        ("valleys", {"minimum": 3, "maximum": 2}),
    ],
)
def test_that_all_critical_points_are_found_and_named(name: str, expected: dict[str, int]) -> None:
    assert Counter(point.kind for point in critical_points(ground(name)).points) == expected


@pytest.mark.parametrize("name", ["himmelblau", "beale", "goldstein_price", "cliff"])
def test_that_scipy_finds_no_other_roots_of_the_gradient(name: str) -> None:
    surface = ground(name)
    found = np.array([point.point for point in critical_points(surface).points])
    bounds = np.array(surface.domain())

    def slope(point: np.ndarray) -> np.ndarray:
        leaf = torch.tensor(point, requires_grad=True)
        return torch.autograd.grad(surface.value(leaf), leaf)[0].numpy()

    roots = 0
    for start in bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * np.random.default_rng(0).random(
        (25, 2)
    ):
        answer = scipy.optimize.root(slope, start, tol=1e-12)
        if (
            answer.success
            and (answer.x >= bounds[:, 0]).all()
            and (answer.x <= bounds[:, 1]).all()
            and np.linalg.norm(slope(answer.x)) < 1e-8
        ):
            roots += 1
            assert np.linalg.norm(found - answer.x, axis=1).min() < 1e-5
    assert roots > 3


@pytest.mark.parametrize(
    ("expression", "kinds"),
    [
        ("x + 2*y", []),
        ("exp(-x)*1 + y^2", []),
        ("x^2 - y^4", ["degenerate"]),
        ("1e-6*(x^2 - y^2)", ["saddle"]),
        ("1e6*(x^2 + 3*y^2)", ["minimum"]),
        ("x^2 + log(y) - y", ["saddle"]),
        ("sin(x)", ["minimum", "maximum"]),
    ],
)
def test_that_names_depend_on_signs_and_not_on_the_height_of_the_surface(
    expression: str, kinds: list[str]
) -> None:
    assert [
        point.kind for point in critical_points(ground("formula", expression=expression)).points
    ] == kinds


def test_that_a_plane_full_of_critical_points_is_not_listed_in_full() -> None:
    found = critical_points(ground("formula", expression="0*x*y"))
    assert not found.complete and {point.kind for point in found.points} == {"degenerate"}


def test_that_a_point_is_named_by_its_hessian_whether_critical_or_not() -> None:
    saddle = ground("saddle")
    at = local(saddle, (0.0, 0.0))
    assert (at.kind, at.index, at.bend) == (
        "saddle",
        1,
        "saddle-shaped",
    ) and at.eigenvalues == pytest.approx([-2.0, 2.0])
    assert np.abs(at.eigenvectors) == pytest.approx(np.array([[0.0, 1.0], [1.0, 0.0]]))
    beside = local(saddle, (1.0, 0.5))
    assert (
        beside.kind is None and beside.bend == "saddle-shaped" and "slope 2.24" in beside.sentence
    )
    assert (
        local(ground("plateau"), (0.2, 0.1)).bend == "convex"
        and local(ground("plateau"), (2.0, 1.0)).bend == "saddle-shaped"
    )
    assert (
        local(ground("maximum"), (0.0,)).kind == "maximum"
        and local(ground("maximum"), (0.3,)).bend == "concave"
    )
    assert local(ground("monkey_saddle"), (0.0, 0.0)).kind == "degenerate"
    with pytest.raises(InvalidInput, match="no finite value"):
        local(ground("formula", expression="log(x)"), (-1.0,))


@pytest.mark.parametrize(
    ("name", "fields"), [("sgd", {"lr": 0.01}), ("newton", {}), ("adam", {"lr": 0.2})]
)
def test_that_basins_tell_where_each_start_ends_by_itself(
    name: str, fields: dict[str, float]
) -> None:
    surface = ground("himmelblau")
    found = basins(surface, method(name, **fields), steps=150, count=9)
    assert found.owner.shape == (9, 9) and found.ends.shape == (9, 9, 2)
    for row, column in ((0, 0), (2, 7), (8, 3), (4, 4)):
        start = (float(found.axes[0][column]), float(found.axes[1][row]))
        path = race(surface, [Contender(method(name, **fields), start)], 150).path(0)
        assert found.ends[row, column] == pytest.approx(path[-1], abs=1e-6)
        owner = found.owner[row, column]
        near = np.linalg.norm(path - found.targets[owner].point, axis=1) <= 0.01 * np.hypot(
            10.0, 10.0
        )
        assert owner >= 0 and near[found.steps[row, column] :].all()
        assert found.steps[row, column] == 0 or not near[found.steps[row, column] - 1]
    kinds = {target.kind for target in found.targets}
    assert kinds == {"minimum"} if name != "newton" else kinds >= {"minimum", "saddle"}


def test_that_basins_of_one_variable_lie_between_the_maxima() -> None:
    surface = ground("valleys")
    found = basins(surface, method("sgd", lr=0.005), steps=600, count=48)
    ends = [float(found.targets[owner].point[0]) for owner in found.owner]
    expected = [-2.0 if x < -1.2 else 0.0 if x < 1.3 else 2.1 for x in found.axes[0]]
    assert ends == pytest.approx(expected, abs=1e-6)


def test_that_starts_without_a_value_and_runs_without_an_end_are_told_apart() -> None:
    found = basins(
        ground("formula", expression="log(x) - 2*x", x_from=-1.0, x_to=2.0),
        method("sgd", lr=0.01),
        steps=50,
        count=7,
    )
    assert (
        (found.owner[:3] == LOST).all()
        and np.isnan(found.ends[:2]).all()
        and (found.steps[:3] == -1).all()
    )
    assert (found.owner[3:] != 0).sum() > 0
    slope = basins(ground("formula", expression="x"), method("sgd", lr=0.01), steps=20, count=5)
    assert (slope.owner == ELSEWHERE).all() and (slope.steps == -1).all() and slope.targets == ()


def test_that_a_picture_has_rows_of_y_and_columns_of_x() -> None:
    (x, y), height = picture(
        ground("formula", expression="x + 10*y", x_from=0.0, x_to=1.0, y_from=0.0, y_to=2.0), 5
    )
    assert height == pytest.approx(x[None, :] + 10.0 * y[:, None])
    (along,), line = picture(ground("parabola"), 11)
    assert line == pytest.approx(0.5 * along**2)
