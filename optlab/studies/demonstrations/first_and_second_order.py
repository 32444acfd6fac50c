"""First and second order: the batch sizes that the gradient and the Newton step need."""

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
from optlab.studies.demonstrations._noise import interval, slope
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
    stream,
    table,
)
from optlab.training.fresh import FreshExamples

_AT_ONCE = 400_000
"""Number of input values drawn at once."""
_NAMES = ("g", "H⁻¹g, exact H", "H⁻¹g, H of the same batch", "H⁻¹g, H of another batch")


class FirstAndSecondOrder(Demonstration):
    """The spread of the minibatch gradient g and of the Newton step H⁻¹g against the batch size.

    H⁻¹ amplifies the errors of g along directions of small curvature, even if H is exact; in an
    ill-conditioned problem the Newton step therefore needs a much larger batch. If H and g come
    from the same batch, their errors cancel in part: in linear regression the step leads to the
    solution of that batch. Three steps are compared: with the exact H, with H from the same batch,
    and with H from another batch of the same size. The batch size at which the relative spread
    reaches the goal is read from a straight line through the larger batches on logarithmic axes;
    its interval comes from resampling the batches.
    """

    name: ClassVar[str] = "first_and_second_order"
    label: ClassVar[str] = "Batches for first and second order"
    row: ClassVar[str] = "B6"
    sort_order: ClassVar[int] = 12
    rule: ClassVar[tuple[str, ...]] = (
        r"s_1(m) = \frac{\sqrt{E \left\| \hat{g}_m - g \right\|^2}}{\left\| g \right\|},\quad "
        r"s_2(m) = \frac{\sqrt{E \left\| \hat{H}^{-1} \hat{g}_m - H^{-1} g \right\|^2}}{\left\| "
        r"H^{-1} g \right\|}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ĝ_m": "gradient on a batch",
        "Ĥ": "the exact H, or the Hessian on the same or another batch",
        "g, H": "gradient and Hessian on a very large sample",
    }
    source: ClassVar[str] = "Notes, section on minibatch algorithms; Deep Learning, section 8.1.3."
    note: ClassVar[str] = (
        "The lines have slope −½; their horizontal distance is the ratio of the batch sizes needed."
    )

    problem: Literal["least_squares", "classes"] = choice(
        "least_squares",
        "Problem",
        help=(
            "Linear regression with a chosen condition number, or softmax regression on three "
            "Gaussians."
        ),
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
        help="Added to H before it is inverted, for batches and for the reference.",
    )
    smallest: int = integer(
        32,
        "Smallest batch",
        ge=2,
        le=100_000,
        log=True,
        slider=(16, 1024),
        help="At least twice the number of parameters is used.",
    )
    largest: int = integer(
        4096,
        "Largest batch",
        symbol="m",
        ge=64,
        le=1_000_000,
        log=True,
        slider=(1024, 65_536),
        help="Batch sizes increase by factors of two.",
    )
    draws: int = integer(
        40,
        "Draws",
        ge=5,
        le=10_000,
        log=True,
        slider=(10, 500),
        help="Number of fresh batches of each size.",
    )
    goal: float = number(
        0.1,
        "Goal",
        gt=0.0,
        le=1.0,
        log=True,
        slider=(0.01, 0.5),
        help="Relative spread that is to be reached.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made, fresh = self._network()
        parameters = made.objective.layout.total
        theta = 0.5 * torch.randn(
            1,
            parameters,
            generator=generator(self.seed, stream("first_and_second_order")),
            dtype=torch.float64,
        )
        reference = fresh.draw(
            self.seed, stream("first_and_second_order/reference"), max(100_000, 8 * self.largest)
        )
        g, inverse = self._parts(made, theta, *(part.unsqueeze(0) for part in reference))
        truth = (numbers(g[0]), numbers(inverse[0] @ g[0]))
        progress.report(0.1)
        sizes_ = [
            m
            for m in 2 ** np.arange(1, 21)
            if max(self.smallest, 2 * parameters) <= m <= max(self.largest, 8 * parameters)
        ]
        squares: list[Array] = []
        for index, m in enumerate(int(size) for size in sizes_):
            errors: list[Array] = []
            at_once = max(2, _AT_ONCE // (m * self.dimension))
            for begin in range(0, self.draws, at_once):
                count = max(2, min(at_once, self.draws - begin))
                x, y = fresh.draw(
                    derived(self.seed, stream(f"first_and_second_order/{m}/{begin}")),
                    "batches",
                    count * m,
                )
                x, y = x.view(count, m, *x.shape[1:]), y.view(count, m, *y.shape[1:])
                gradients, own = self._parts(made, theta.expand(count, -1), x, y)
                # The next batch provides the other Hessian, as independent as a fresh one.
                steps = [
                    gradients,
                    *(
                        (matrices @ gradients.unsqueeze(2)).squeeze(2)
                        for matrices in (inverse, own, own.roll(1, 0))
                    ),
                ]
                aims = (truth[0], truth[1], truth[1], truth[1])
                errors.append(
                    np.stack(
                        [
                            np.square(numbers(s) - aim).sum(axis=1) / np.square(aim).sum()
                            for s, aim in zip(steps, aims, strict=True)
                        ],
                        axis=1,
                    )
                )
                if not progress.should_continue():
                    return
            squares.append(np.concatenate(errors)[: self.draws])
            done = 0.1 + 0.9 * (index + 1) / len(sizes_)
            progress.report(done)
            if len(squares) > 1:
                yield self._result(numbers(sizes_[: index + 1]), np.stack(squares), min(done, 1.0))

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
        """Return gradients ``[K, P]`` and inverse Hessians ``[K, P, P]`` on K batches.

        Shapes: ``x`` and ``y`` ``[K, m, …]``.
        """
        landscape = ObjectiveLandscape(made.objective, x, y)
        g = landscape.value_and_gradient(theta)[1]
        eye = torch.eye(theta.shape[1], dtype=theta.dtype)
        # The softmax has a direction without curvature, along which g is zero: the least-norm
        # solution leaves it out.
        return g, torch.linalg.pinv(
            landscape.hessian(theta).dense() + self.damping * eye, hermitian=True, rtol=1e-9
        )

    def _result(self, m: Array, squares: Array, done: float) -> DemonstrationResult:
        spread = np.sqrt(squares.mean(axis=1))
        # The same draws are resampled for all four, as they come from the same batches.
        rngs = [
            numpy_generator(self.seed, stream("first_and_second_order/bootstrap")) for _ in _NAMES
        ]
        # Small batches do not follow the line: their Hessians are nearly singular.
        late = slice(-max(2, len(m) // 2), None)
        fits = [slope(m[late], squares[late, :, order], rng) for order, rng in enumerate(rngs)]
        needed = [fit.size_for(self.goal) for fit in fits]
        ratio = needed[1][0] / needed[0][0] if math.isfinite(needed[0][0]) else math.nan
        first, exact = (fit.resampled_sizes(self.goal) for fit in fits[:2])
        ratio_low, ratio_high = interval(exact[np.isfinite(first)] / first[np.isfinite(first)])
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
        sizes = [f"{size:,.0f} ({low:,.0f} to {high:,.0f})" for size, low, high in needed]
        sentence = (
            f"For a relative spread of {self.goal:g} the gradient needs a batch of about "
            f"{sizes[0]}, "
            f"and the Newton step with the exact Hessian one of {sizes[1]}, {ratio:.3g} times "
            f"({ratio_low:.3g} to {ratio_high:.3g}) as large; with the Hessian of the same batch "
            f"{sizes[2]}, with that of another batch {sizes[3]}. In parentheses: 95% intervals."
        )
        if any(size > m[-1] for size, _, _ in needed):
            sentence += f" Sizes above {m[-1]:,.0f}, the largest batch drawn, are extrapolated."
        plot = Plot(
            "Relative spread",
            Axis("batch size m", log=True),
            Axis("relative spread", log=True),
            tuple(curves),
        )
        figures = {"ratio": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}
        for name, (size, low, high) in zip(
            ("first", "exact", "same_batch", "another_batch"), needed, strict=True
        ):
            figures |= {name: size, f"{name}_low": low, f"{name}_high": high}
        headings = ("batch size", *(f"spread of {name}" for name in _NAMES), "exact H to g")
        return DemonstrationResult(table(headings, rows), (plot,), sentence, figures, done)
