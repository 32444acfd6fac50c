"""First against second order: how large a batch the gradient needs, and how large a one the Newton
step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.objective.seeding import derived, generator, numpy_generator
from optlab.studies.demonstrations._networks import Network, network
from optlab.studies.demonstrations._noise import slope
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    numbers,
    table,
)
from optlab.training.fresh import FreshExamples

_AT_ONCE = 400_000
"""Input values that are drawn at once."""
_NAMES = ("g", "H⁻¹g, exact H", "H⁻¹g, H of the same batch", "H⁻¹g, H of another batch")


class FirstAndSecondOrder(Demonstration):
    """The spread of the minibatch gradient g and of the Newton step H⁻¹g, both estimated on fresh
    batches, against the batch size.

    H⁻¹ multiplies the errors of g along directions of small curvature, even where H itself is
    exact; in an ill-conditioned problem the Newton step then needs a far larger batch, the larger
    the condition number. Where H and g come from the same batch their errors cancel in part: in
    linear regression the step leads to that batch's own solution. So three steps are shown: with
    the exact H, with H from the same batch, and with H from another one of the same size. The batch
    at which the relative spread has come down to the goal is read off a straight line through the
    larger batches on logarithmic axes.
    """

    name: ClassVar[str] = "first_and_second_order"
    label: ClassVar[str] = "Batches for first and second order"
    row: ClassVar[str] = "B6"
    sort_order: ClassVar[int] = 12
    rule: ClassVar[tuple[str, ...]] = (
        r"s_1(m) = \frac{\sqrt{E \left\| \hat{g}_m - g \right\|^2}}{\left\| g \right\|},\quad "
        r"s_2(m) = \frac{\sqrt{E \left\| \hat{H}^{-1} \hat{g}_m - H^{-1} g \right\|^2}}{\left\| H^{-1} g \right\|}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ĝ_m": "gradient on a batch",
        "Ĥ": "H itself, or the Hessian on the same or another batch",
        "g, H": "the same on a very large sample",
    }
    source: ClassVar[str] = "Notes, section on minibatch algorithms; Deep Learning, section 8.1.3."
    note: ClassVar[str] = (
        "Parallel lines of slope −½: their horizontal distance is how much larger the batch has to be."
    )

    problem: Literal["least_squares", "classes"] = choice(
        "least_squares",
        "Problem",
        help="Linear regression of a chosen condition, or softmax on three Gaussians.",
    )
    dimension: int = integer(
        10, "Inputs", symbol="d", ge=2, le=50, slider=(2, 30), help="Number of inputs."
    )
    condition: float = number(
        100.0,
        "Condition number",
        symbol="κ",
        ge=1.0,
        le=1e6,
        log=True,
        slider=(1.0, 1e4),
        help="Of the Hessian, for linear regression.",
    )
    noise: float = number(
        0.3,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 2.0),
        help="Standard deviation of the noise on the targets of linear regression.",
    )
    damping: float = number(
        0.0,
        "Damping",
        symbol="λ",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Added to H before it is inverted, on the batch and for the truth alike.",
    )
    smallest: int = integer(
        32,
        "Smallest batch",
        ge=2,
        le=100_000,
        log=True,
        slider=(16, 1024),
        help="Twice the number of parameters is taken at least.",
    )
    largest: int = integer(
        4096,
        "Largest batch",
        symbol="m",
        ge=64,
        le=1_000_000,
        log=True,
        slider=(1024, 65_536),
        help="Batch sizes go up by factors of two.",
    )
    draws: int = integer(
        40, "Draws", ge=5, le=10_000, log=True, slider=(10, 500), help="Fresh batches of each size."
    )
    goal: float = number(
        0.1,
        "Goal",
        gt=0.0,
        le=1.0,
        log=True,
        slider=(0.01, 0.5),
        help="Relative spread that is good enough.",
    )

    def run(self, course: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made, fresh = self._network()
        parameters = made.objective.layout.total
        theta = 0.5 * torch.randn(
            1,
            parameters,
            generator=generator(self.seed, "bench/first_and_second_order"),
            dtype=torch.float64,
        )
        reference = fresh.draw(
            self.seed, "bench/first_and_second_order/reference", max(100_000, 8 * self.largest)
        )
        g, inverse = self._parts(made, theta, *(part.unsqueeze(0) for part in reference))
        truth = (numbers(g[0]), numbers(inverse[0] @ g[0]))
        course.told(0.1)
        sizes_ = [
            m
            for m in 2 ** np.arange(1, 21)
            if max(self.smallest, 2 * parameters) <= m <= max(self.largest, 8 * parameters)
        ]
        squares: list[Array] = []
        for index, m in enumerate(int(size) for size in sizes_):
            found: list[Array] = []
            at_once = max(2, _AT_ONCE // (m * self.dimension))
            for begin in range(0, self.draws, at_once):
                count = max(2, min(at_once, self.draws - begin))
                x, y = fresh.draw(
                    derived(self.seed, f"bench/first_and_second_order/{m}/{begin}"),
                    "batches",
                    count * m,
                )
                x, y = x.view(count, m, *x.shape[1:]), y.view(count, m, *y.shape[1:])
                here, own = self._parts(made, theta.expand(count, -1), x, y)
                # The batch beside it lends its Hessian: as independent as a fresh one.
                steps = [
                    here,
                    *(
                        (matrices @ here.unsqueeze(2)).squeeze(2)
                        for matrices in (inverse, own, own.roll(1, 0))
                    ),
                ]
                aims = (truth[0], truth[1], truth[1], truth[1])
                found.append(
                    np.stack(
                        [
                            np.square(numbers(s) - aim).sum(axis=1) / np.square(aim).sum()
                            for s, aim in zip(steps, aims, strict=True)
                        ],
                        axis=1,
                    )
                )
                if not course.going():
                    return
            squares.append(np.concatenate(found)[: self.draws])
            done = 0.1 + 0.9 * (index + 1) / len(sizes_)
            course.told(done)
            if len(squares) > 1:
                yield self._found(numbers(sizes_[: index + 1]), np.stack(squares), min(done, 1.0))

    def _network(self) -> tuple[Network, FreshExamples]:
        values: dict[str, Any]
        loss: dict[str, Any]
        if self.problem == "least_squares":
            values = {
                "name": "least_squares",
                "dimension": self.dimension,
                "condition": self.condition,
                "noise": self.noise,
                "standardize": False,
            }
            loss = {"name": "squared_error"}
        else:
            values = {
                "name": "gaussian_mixture",
                "dimension": self.dimension,
                "distance": 1.5,
                "standardize": False,
            }
            loss = {"name": "cross_entropy", "l2": 1e-3}
        values |= {"validation": 0.0, "test": 0.0, "size": 1000}
        dataset = registry.build(Dataset, values)
        fresh = FreshExamples(dataset, dataset.load(), "cpu", torch.float64)
        return network(values, {"name": "linear"}, loss), fresh

    def _parts(
        self, made: Network, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients ``[K, P]`` and inverse Hessians ``[K, P, P]`` on K batches ``x``, ``y`` ``[K,
        m, …]``.
        """
        landscape = ObjectiveLandscape(made.objective, x, y)
        g = landscape.value_and_gradient(theta)[1]
        eye = torch.eye(theta.shape[1], dtype=theta.dtype)
        # The softmax has a direction without curvature, in which g has no part: the least-norm
        # solution leaves it out.
        return g, torch.linalg.pinv(
            landscape.hessian(theta).dense() + self.damping * eye, hermitian=True, rtol=1e-9
        )

    def _found(self, m: Array, squares: Array, done: float) -> DemonstrationResult:
        spread = np.sqrt(squares.mean(axis=1))
        rng = numpy_generator(self.seed, "bench/first_and_second_order/bootstrap")
        # Small batches are not on the line yet: their Hessians are nearly singular.
        late = slice(-max(2, len(m) // 2), None)
        fits = [slope(m[late], squares[late, :, order], rng) for order in range(len(_NAMES))]
        needed = [math.exp((math.log(self.goal) - fit.intercept) / fit.slope) for fit in fits]
        rows: list[tuple[Cell, ...]] = [
            (int(size), *(float(value) for value in values), float(values[1] / values[0]))
            for size, values in zip(m, spread, strict=True)
        ]
        curves = [Curve(name, m, spread[:, order]) for order, name in enumerate(_NAMES)]
        curves += [
            Curve(
                f"{name}: slope {fit.slope:.2f}",
                m,
                np.exp(fit.intercept + fit.slope * np.log(m)),
                style="predicted",
            )
            for name, fit in zip(_NAMES, fits, strict=True)
        ]
        curves.append(Curve("goal", m[[0, -1]], numbers([self.goal, self.goal]), style="predicted"))
        words = (
            f"For a relative spread of {self.goal:g} the gradient needs a batch of about {needed[0]:,.0f}, and the Newton step with the exact Hessian one of "
            f"{needed[1]:,.0f}, {needed[1] / needed[0]:.3g} times as many; with the Hessian of the same batch {needed[2]:,.0f}, "
            f"with that of another batch {needed[3]:,.0f}."
        )
        plot = Plot(
            "Relative spread",
            Axis("batch size m", log=True),
            Axis("relative spread", log=True),
            tuple(curves),
        )
        figures = {
            "first": needed[0],
            "exact": needed[1],
            "same_batch": needed[2],
            "another_batch": needed[3],
            "ratio": needed[1] / needed[0],
        }
        headings = ("batch size", *(f"spread of {name}" for name in _NAMES), "exact H to g")
        return DemonstrationResult(table(headings, rows), (plot,), words, figures, done)
