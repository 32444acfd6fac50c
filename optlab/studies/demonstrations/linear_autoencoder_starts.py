"""Linear autoencoders and deep linear networks from many starts: saddles, then the minimum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from optlab.core import registry
from optlab.core.data import DataShape, Part
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.critical_points import find
from optlab.curvature.critical_points import name as named
from optlab.objective.seeding import generator
from optlab.studies.demonstrations._networks import Network, descents, on, optimizer
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
    counted,
    numbers,
    stream,
    table,
)

_CHUNK = 500
_DRAWN = 12
_POINTS = 400
_ARRIVED = 1e-4
"""Excess over the lowest cost, relative to the total variance, up to which it is reached."""
_PLATEAU = 0.2
"""Share of a run's largest gradient norm below which a local minimum of the norm marks a saddle."""


@dataclass(frozen=True)
class _Plateau:
    """A plateau of a run: number of the run, step, parameters ``[1, P]``."""

    run: int
    step: int
    theta: torch.Tensor


class LinearAutoencoderStarts(Demonstration):
    """One linear network trained from many starts.

    It slows down at saddles, and every start reaches the same lowest cost.

    The network reproduces its inputs through k units. Its critical points are known: W₂W₁ projects
    onto some of the principal components, and the cost is the variance along all others. Only the k
    largest components give a minimum; every other choice is a saddle, from which replacing a
    component by one of larger variance leads down. More matrices change the path, not the levels.
    The lowest cost is therefore the residual of a principal component analysis, which is computed
    from the covariance alone.
    """

    name: ClassVar[str] = "linear_autoencoder_starts"
    label: ClassVar[str] = "Linear autoencoders from many starts"
    row: ClassVar[str] = "C9"
    sort_order: ClassVar[int] = 90
    rule: ClassVar[tuple[str, ...]] = (
        r"J(\theta) = \text{mean}\left\| W_L \cdots W_1 x - x \right\|^2,\quad x \in R^d",
        r"\nabla J = 0:\quad J = \sum_{i \notin S} \lambda_i\ \text{for some}\ S,\ |S| \leq k",
    )
    symbols: ClassVar[dict[str, str]] = {
        "λ_i": "eigenvalues of the covariance of x",
        "S": "components that are kept",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; P. Baldi, K. Hornik (1989); K. Kawaguchi, Deep "
        "learning without poor local minima (2016)."
    )
    note: ClassVar[str] = (
        "The curves fall in steps; each plateau lies on a dashed line, the cost of one saddle."
    )

    dataset: Literal["iris", "wine"] = choice(
        "iris", "Data", help="Data set whose standardized inputs are reproduced."
    )
    code: int = integer(
        2,
        "Code",
        symbol="k",
        unit="units",
        ge=1,
        le=13,
        slider=(1, 4),
        help="Units of the narrowest layer; fewer than inputs.",
    )
    depth: int = integer(
        2,
        "Matrices",
        symbol="L",
        ge=2,
        le=8,
        slider=(2, 5),
        help="Number of matrices: 2 make a linear autoencoder, more a deep linear network.",
    )
    starts: int = integer(
        50,
        "Starts",
        ge=1,
        le=2000,
        log=True,
        slider=(5, 200),
        help="Number of random starts, trained side by side.",
    )
    spread: float = number(
        0.1,
        "Spread of the starts",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Standard deviation of the initial weights; a smaller one means longer plateaus.",
    )
    rate: float = number(
        0.02,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-3, 0.1),
        help="Rate of gradient descent on all examples.",
    )
    steps: int = integer(
        3000,
        "Steps",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(500, 20_000),
        help="Steps of gradient descent.",
    )
    saddles: int = integer(
        12,
        "Saddles classified",
        ge=0,
        le=500,
        slider=(0, 50),
        help="Number of plateaus from which the critical point is searched and classified.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made = reproducing(self.dataset, self.code, self.depth)
        variances = numbers(np.linalg.eigvalsh(np.cov(made.training.x.T, bias=True))[::-1])
        if self.code >= len(variances):
            raise InvalidInput(
                (
                    f"code is {self.code}, but it must be less than {len(variances)}, the number "
                    "of "
                    f"inputs of {self.dataset}."
                ),
                "code",
            )
        source = generator(self.seed, stream("linear_autoencoder_starts"))
        theta = self.spread * torch.randn(
            self.starts, made.objective.layout.total, generator=source, dtype=torch.float64
        )
        rule = optimizer("sgd", lr=self.rate)
        costs: list[Array] = []
        norms: list[Array] = []
        passed: list[_Plateau] = []
        steepest = np.zeros(self.starts)
        for taken in itertools.islice(
            descents(made.objective, made.x, made.y, theta, [rule] * self.starts), self.steps
        ):
            costs.append(numbers(taken.loss))
            norms.append(numbers(taken.norm))
            steepest = np.maximum(steepest, norms[-1])
            if len(norms) >= 3 and len(passed) < 20 * self.saddles:
                slow = (
                    (norms[-2] < norms[-3])
                    & (norms[-2] < norms[-1])
                    & (norms[-2] < _PLATEAU * steepest)
                )
                # The parameters one step later are as close to the saddle.
                passed += [
                    _Plateau(int(run), len(norms) - 2, taken.point[run : run + 1])
                    for run in np.flatnonzero(slow)
                ]
            if len(costs) % _CHUNK == 0 and len(costs) < self.steps:
                done = 0.9 * len(costs) / self.steps
                progress.report(done)
                yield self._result(variances, costs, passed, [], done)
            if not progress.should_continue():
                return
        critical: list[tuple[Cell, ...]] = []
        for plateau in passed[: self.saddles]:
            critical.append(_named(made, plateau, variances, self.code))
            if not progress.should_continue():
                return
        yield self._result(variances, costs, passed, critical, 1.0)

    def _result(
        self,
        variances: Array,
        costs: list[Array],
        passed: list[_Plateau],
        critical: list[tuple[Cell, ...]],
        done: float,
    ) -> DemonstrationResult:
        least, all_of_it = float(variances[self.code :].sum()), float(variances.sum())
        ends = costs[-1]
        arrived = int((ends <= least + _ARRIVED * all_of_it).sum())
        rows: list[tuple[Cell, ...]] = [
            ("end", run, len(costs), float(cost), float((cost - least) / all_of_it), None, "", None)
            for run, cost in enumerate(ends)
        ]
        saddles = [row for row in critical if row[6] == "saddle"]
        off = [abs(float(row[4] or 0.0)) for row in saddles]
        sentence = (
            f"Of {counted(len(ends), 'start')}, {arrived} have reached the lowest cost, "
            f"{least:.5g}, the "
            f"residual of a principal component analysis, and {len(ends) - arrived} have not; on "
            "the way "
            f"they passed {counted(len(passed), 'plateau')}."
        )
        if critical:
            sentence += f" Of the {len(critical)} examined, {len(saddles)} are saddles" + (
                ", whose costs agree with the residual of a choice of components to "
                f"{max(off):.1e}."
                if off
                else "."
            )
        history = np.stack(costs)
        at = np.unique(np.linspace(0, len(history) - 1, min(_POINTS, len(history))).astype(int))
        curves = [
            Curve(f"start {run}", numbers(at), history[at, run])
            for run in range(min(_DRAWN, len(ends)))
        ]
        ways = levels(variances, self.code)
        curves += [
            Curve(
                f"components {component_names(chosen)}",
                numbers([0, len(history)]),
                numbers([cost, cost]),
                style="predicted",
            )
            for chosen, cost in ways[:8]
        ]
        headings = (
            "what",
            "start",
            "step",
            "J",
            "excess / variance",
            "index",
            "kind",
            "components",
        )
        plot = Plot("Cost during training", Axis("step"), Axis("J", log=True), tuple(curves))
        figures = {
            "least": least,
            "arrived": arrived / len(ends),
            "largest_end": float(ends.max()),
            "saddles": float(len(saddles)),
            "off": max(off, default=0.0),
        }
        return DemonstrationResult(
            table(headings, [*critical, *rows]), (plot,), sentence, figures, done
        )


def reproducing(dataset: str, code: int, depth: int) -> Network:
    """Return a deep linear network of width ``code`` whose targets are its centered inputs."""
    inputs = (
        registry.build("dataset", {"name": dataset, "validation": 0.0, "test": 0.0})  # type: ignore[attr-defined]
        .load()
        .training.x
    )
    x = inputs - inputs.mean(axis=0)
    return on(
        Part(x, x),
        DataShape((x.shape[1],), x.shape[1], "regression"),
        {"name": "deep_linear", "depth": depth, "width": code},
        {"name": "squared_error"},
    )


def levels(variances: Array, code: int) -> list[tuple[tuple[int, ...], float]]:
    """Return every choice of at most ``code`` components, from 0, with its cost, lowest first.

    ``variances`` ``[d]`` are the eigenvalues of the covariance.
    """
    ways = itertools.chain.from_iterable(
        itertools.combinations(range(len(variances)), size) for size in range(code + 1)
    )
    total = float(variances.sum())
    return sorted(
        ((chosen, total - float(variances[list(chosen)].sum())) for chosen in ways),
        key=lambda way: way[1],
    )


def component_names(chosen: tuple[int, ...]) -> str:
    """Return a choice of components as text, counted from 1."""
    return ", ".join(str(index + 1) for index in chosen) or "none"


def _named(made: Network, plateau: _Plateau, variances: Array, code: int) -> tuple[Cell, ...]:
    """Return the row of the critical point near a plateau, with the closest possible cost."""
    result = find(made.landscape, plateau.theta, steps=100)
    verdict = named(made.landscape, result.theta)
    chosen, cost = min(levels(variances, code), key=lambda way: abs(way[1] - verdict.value))
    kind = verdict.kind if verdict.critical else "not critical"
    return (
        "plateau",
        plateau.run,
        plateau.step,
        verdict.value,
        (verdict.value - cost) / float(variances.sum()),
        verdict.index,
        kind,
        component_names(chosen),
    )
