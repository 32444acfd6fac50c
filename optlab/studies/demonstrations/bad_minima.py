"""Bad local minima in networks with no or few hidden units."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from optlab.core.data import DataShape, Part
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.critical_points import name as named
from optlab.curvature.landscape import FunctionLandscape, Landscape
from optlab.objective.seeding import generator
from optlab.studies.demonstrations._networks import descents, on, optimizer
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
    Scatter,
    counted,
    numbers,
    stream,
    table,
)

AXIS_X = (1.0, 10.0)
AXIS_Y = (0.95, 0.1)
"""Two examples on each axis that are fitted by different weights: w = log 19 for the first and
w = −log(9)/10 for the second.
"""
_SAME = 1e-3
_CHUNK = 250
_MAX_CLASSIFIED = 12


class BadMinima(Demonstration):
    """Starts that end at a high cost for good, in networks small enough to examine every minimum.

    Without hidden units: one sigmoid unit with squared error. Far from the solution the sigmoid is
    flat, so each example contributes one well; two examples on an axis with distant wells give two
    minima, and d axes give 2^d, one of which is global. With cross-entropy the same unit has one
    minimum.

    With a few hidden units: the exclusive or, learned by a network that is just large enough. Final
    points are grouped by their cost and classified by gradient and Hessian eigenvalues. More units
    make bad outcomes rare: see the demonstration on width.
    """

    name: ClassVar[str] = "bad_minima"
    label: ClassVar[str] = "Bad local minima in small networks"
    row: ClassVar[str] = "C5"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"\text{no hidden units:}\quad J(w) = \frac{1}{2d} \sum_{i=1}^{d} \sum_{k=1}^{2} "
            r"\left(\sigma\left(w_i x_k\right) - y_k\right)^2"
        ),
        (
            r"\text{exclusive or:}\quad f(x) = v^{\top} \phi\left(W x + b\right) + c,\quad J = "
            r"\text{mean}\left(f(x) - y\right)^2"
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "σ": "logistic sigmoid",
        "d": "number of inputs",
        "φ": "activation",
    }
    source: ClassVar[str] = (
        "Notes, section on local minima; E. Sontag, H. Sussmann (1989); P. Auer, M. Herbster, M. "
        "Warmuth, Exponentially many local minima for single "
        "neurons (1996)."
    )
    note: ClassVar[str] = (
        "Each step of the sorted final costs is a level at which starts end; the lowest is the "
        "global minimum."
    )

    network: Literal["no_hidden_units", "exclusive_or"] = choice(
        "no_hidden_units",
        "Network",
        help="A single sigmoid unit, or a small network that learns the exclusive or.",
    )
    inputs: int = integer(
        2,
        "Inputs of the sigmoid unit",
        symbol="d",
        ge=1,
        le=8,
        slider=(1, 6),
        help="Number of inputs; there are 2^d minima.",
    )
    units: int = integer(
        2,
        "Hidden units",
        ge=1,
        le=64,
        slider=(1, 8),
        help="Hidden units of the network that learns the exclusive or.",
    )
    activation: Literal["relu", "tanh"] = choice(
        "relu", "Activation", symbol="φ", help="Function applied to the hidden units."
    )
    starts: int = integer(
        200,
        "Starts",
        ge=2,
        le=10_000,
        log=True,
        slider=(10, 1000),
        help="Number of random starts, trained side by side.",
    )
    spread: float = number(
        3.0,
        "Spread of the starts",
        gt=0.0,
        slider=(0.1, 10.0),
        help="Initial weights are uniform between minus and plus this value.",
    )
    steps: int = integer(
        3000,
        "Steps",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Steps of descent with momentum on the full batch.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        source = generator(self.seed, stream("bad_minima"))
        if self.network == "no_hidden_units":
            landscape: Landscape = FunctionLandscape(single_unit)
            theta = self._drawn(source, self.inputs)
            points = _plain_descent(landscape, theta, 0.5)
        else:
            x = numbers([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
            part = Part(2.0 * x - 1.0, numbers([[0.0], [1.0], [1.0], [0.0]]))
            model = {"name": "mlp", "hidden": [self.units], "activation": self.activation}
            made = on(part, DataShape((2,), 1, "regression"), model, {"name": "squared_error"})
            landscape, theta = made.landscape, self._drawn(source, made.objective.layout.total)
            rule = optimizer("momentum", lr=0.02, momentum=0.9)
            taken = descents(made.objective, made.x, made.y, theta, [rule] * self.starts)
            points = (step.after for step in taken)
        for index, theta in enumerate(itertools.islice(points, self.steps), start=1):
            if index % _CHUNK == 0 and index < self.steps:
                progress.report(0.9 * index / self.steps)
                yield self._result(landscape, theta, 0.9 * index / self.steps)
            if not progress.should_continue():
                return
        yield self._result(landscape, theta, 1.0)

    def _drawn(self, source: torch.Generator, size: int) -> torch.Tensor:
        return self.spread * (
            2.0 * torch.rand(self.starts, size, generator=source, dtype=torch.float64) - 1.0
        )

    def _result(
        self, landscape: Landscape, theta: torch.Tensor, done: float
    ) -> DemonstrationResult:
        value, g = landscape.value_and_gradient(theta)
        costs, norms = numbers(value), numbers(torch.linalg.vector_norm(g, dim=1))
        settled = done == 1.0
        rows: list[tuple[Cell, ...]] = []
        for members in _levels(costs):
            middle = int(members[np.argmin(norms[members])])
            least, kind = float("nan"), ""
            if settled and len(rows) < _MAX_CLASSIFIED:
                verdict = named(landscape, theta[middle : middle + 1], tolerance=1e-4)
                least, kind = (
                    float(verdict.eigenvalues[0]),
                    verdict.kind if verdict.critical else "not converged",
                )
            rows.append(
                (
                    float(np.median(costs[members])),
                    len(members),
                    len(members) / len(costs),
                    float(norms[middle]),
                    least,
                    kind,
                )
            )
        best = float(np.median(costs[_levels(costs)[0]]))
        high = (
            int((costs > best + 0.01 * max(costs.max() - best, 1e-12)).sum())
            if len(rows) > 1
            else 0
        )
        sentence = (
            f"{counted(len(costs), 'start')} end at {counted(len(rows), 'cost level')}, from "
            f"{best:.4g} to {costs.max():.4g}; "
        )
        sentence += f"{high} of them ({high / len(costs):.0%}) end above the lowest level."
        if self.network == "no_hidden_units":
            sentence += f" There are 2^{self.inputs} = {2**self.inputs} minima, one of them global."
        sentence += "" if settled else f" So far {done:.0%} of the descent is done."
        order = np.sort(costs)
        at = np.arange(1, len(order) + 1) / len(order)
        plots = [
            Plot(
                "Final costs of all starts, sorted",
                Axis("share of starts"),
                Axis("J"),
                (Curve("J", at, order),),
            )
        ]
        if theta.shape[1] == 2:
            ends = theta.numpy()
            scatters = tuple(
                Scatter(f"J = {rows[i][0]:.3g}", ends[m, 0], ends[m, 1])
                for i, m in enumerate(_levels(costs))
            )
            plots.append(Plot("Final points", Axis("w₁"), Axis("w₂"), scatters=scatters))
        headings = ("J", "starts", "share", "gradient norm", "least eigenvalue", "kind")
        return DemonstrationResult(
            table(headings, rows),
            tuple(plots),
            sentence,
            {"lowest": best, "share_above": high / len(costs), "levels": float(len(rows))},
            done,
        )


def single_unit(w: torch.Tensor) -> torch.Tensor:
    """Return the squared error ``[R]`` of a sigmoid unit with weights ``w`` ``[R, d]``.

    There are two examples on each axis.
    """
    total = sum(
        (
            (torch.sigmoid(w * x) - y).square().sum(dim=1)
            for x, y in zip(AXIS_X, AXIS_Y, strict=True)
        ),
        start=torch.zeros_like(w[:, 0]),
    )
    return total / (len(AXIS_X) * w.shape[1])


def _plain_descent(
    landscape: Landscape, theta: torch.Tensor, rate: float
) -> Iterator[torch.Tensor]:
    """Yield the points ``[R, P]`` of descent with momentum 0.9."""
    v = torch.zeros_like(theta)
    while True:
        v = 0.9 * v - rate * landscape.value_and_gradient(theta)[1]
        theta = theta + v
        yield theta


def _levels(costs: Array) -> list[Array]:
    """Return the indices of the starts at each level of cost, lowest level first.

    A gap of a thousandth of the full range separates two levels.
    """
    order = np.argsort(costs, kind="stable")
    values = np.where(np.isfinite(costs[order]), costs[order], np.finfo(np.float64).max)
    gaps = np.flatnonzero(np.diff(values) > max(_SAME * (values[-1] - values[0]), 1e-6)) + 1
    return list(np.split(order, gaps))
