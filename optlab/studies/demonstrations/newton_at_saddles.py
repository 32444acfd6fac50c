"""Newton's method, saddle-free Newton and gradient descent from one start near a saddle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar, Literal

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.errors import RunFailed
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.critical_points import name as named
from optlab.objective.seeding import generator
from optlab.studies.demonstrations._critical import Reached, reached, small_network
from optlab.studies.demonstrations._networks import Network, descents, optimizer
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

_SPREADS = (0.1, 0.5, 1.0)
_SEARCHES = 60
_EVERY = 10


class NewtonAtSaddles(Demonstration):
    """Three methods from one start at a chosen distance from a saddle of a small network.

    Newton's method jumps to the saddle, the others leave it.

    The saddle is found first, as a zero of the gradient with eigenvalues of both signs. Newton's
    step solves for a zero of the gradient, so the saddle attracts it from all sides. With absolute
    eigenvalues the step reverses its sign along directions of negative curvature, and the same
    saddle repels. Gradient descent is also repelled, in proportion to the curvature: slowly where
    that is small.
    """

    name: ClassVar[str] = "newton_at_saddles"
    label: ClassVar[str] = "Newton near a saddle of a network"
    row: ClassVar[str] = "C11"
    sort_order: ClassVar[int] = 110
    rule: ClassVar[tuple[str, ...]] = (
        r"\text{Newton:}\quad \theta \leftarrow \theta - H^{-1} g",
        r"\text{saddle-free:}\quad \theta \leftarrow \theta - (|H| + \lambda I)^{-1} g",
        r"\theta_0 = \theta_{\text{saddle}} + \rho\, u,\quad \|u\| = 1",
    )
    symbols: ClassVar[dict[str, str]] = {
        "|H|": "H with the absolute values of its eigenvalues",
        "u": "random direction, the same for all",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points and on Newton's method; Y. Dauphin et al. (2014)."
    )
    note: ClassVar[str] = (
        "The distance from the saddle: for Newton's method it falls to rounding error within a "
        "few steps, for the others it grows."
    )

    dataset: Literal["iris", "wine"] = choice(
        "iris", "Data", help="Data set that the network classifies."
    )
    units: int = integer(
        3, "Hidden units", ge=1, le=32, slider=(1, 10), help="Units of the hidden layer."
    )
    decay: float = number(
        0.03,
        "Weight decay",
        ge=0.0,
        slider=(0.0, 0.1),
        help="Coefficient of ½‖w‖²; it keeps the minima of the objective at finite points.",
    )
    distance: float = number(
        0.03,
        "Distance",
        symbol="ρ",
        gt=0.0,
        log=True,
        slider=(1e-4, 1.0),
        help="Distance of the common start from the saddle.",
    )
    damping: float = number(
        0.03,
        "Damping",
        symbol="λ",
        ge=0.0,
        slider=(0.0, 0.1),
        help=(
            "Added to the absolute eigenvalues by saddle-free Newton; without it, steps along "
            "small eigenvalues are unbounded."
        ),
    )
    rate: float = number(
        0.2,
        "Rate of gradient descent",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="The second-order methods take full steps.",
    )
    steps: int = integer(
        60,
        "Steps",
        ge=1,
        le=100_000,
        log=True,
        slider=(5, 1000),
        help="Steps that each method takes.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made = small_network(self.dataset, self.units, self.decay)
        saddle = None
        for row_number, point in enumerate(
            reached(made, self.seed, _SEARCHES, _SPREADS, (5, 50, 200))
        ):
            progress.report(min(0.3, 0.03 * row_number))
            if not progress.should_continue():
                return
            if point is not None and point.verdict.kind == "saddle" and not point.verdict.zeros:
                saddle = point
                break
        if saddle is None:
            raise RunFailed(
                "No saddle of this network was found; try fewer hidden units, another seed or "
                "another weight decay."
            )
        u = torch.randn(
            saddle.theta.shape,
            generator=generator(self.seed, stream("newton_at_saddles")),
            dtype=torch.float64,
        )
        start = saddle.theta + self.distance * u / torch.linalg.vector_norm(u)
        methods = (
            optimizer("newton", lr=1.0, damping=0.0, solver="exact"),
            optimizer("saddle_free_newton", lr=1.0, damping=self.damping, solver="exact"),
            optimizer("sgd", lr=self.rate),
        )
        history = [_At(made, saddle, start.expand(len(methods), -1))]
        for taken in itertools.islice(
            descents(made.objective, made.x, made.y, start.repeat(len(methods), 1), methods),
            self.steps,
        ):
            history.append(_At(made, saddle, taken.after))
            done = 0.3 + 0.65 * (len(history) - 1) / self.steps
            progress.report(done)
            if not progress.should_continue():
                return
            if len(history) % _EVERY == 0:
                yield self._result(made, saddle, methods, history, done, settled=False)
        yield self._result(made, saddle, methods, history, 1.0, settled=True)

    def _result(
        self,
        made: Network,
        saddle: Reached,
        methods: tuple[Optimizer, ...],
        history: list[_At],
        done: float,
        *,
        settled: bool,
    ) -> DemonstrationResult:
        rows: list[tuple[Cell, ...]] = [
            (
                "saddle",
                0,
                saddle.verdict.value,
                saddle.verdict.gradient_norm,
                0.0,
                saddle.verdict.index,
                saddle.verdict.kind,
            )
        ]
        last = history[-1]
        for row_number, method in enumerate(methods):
            verdict = (
                named(made.landscape, last.theta[row_number : row_number + 1])
                if settled and bool(torch.isfinite(last.theta[row_number]).all())
                else None
            )
            index = None if verdict is None else verdict.index
            kind = (
                ""
                if verdict is None
                else verdict.kind
                if verdict.critical
                else f"like a {verdict.kind}, not critical"
            )
            rows.append(
                (
                    method.label,
                    len(history) - 1,
                    float(last.values[row_number]),
                    float(last.norms[row_number]),
                    float(last.distances[row_number]),
                    index,
                    kind,
                )
            )
        at = numbers(range(len(history)))
        ways: list[tuple[str, str, bool]] = [
            ("distances", "distance from the saddle", True),
            ("values", "J", False),
            ("norms", "gradient norm", True),
        ]
        plots = tuple(
            Plot(
                label.capitalize(),
                Axis("step"),
                Axis(label, log=log),
                tuple(
                    Curve(
                        method.label,
                        at,
                        numbers([getattr(state, what)[row_number] for state in history]),
                    )
                    for row_number, method in enumerate(methods)
                ),
            )
            for what, label, log in ways
        )
        sentence = (
            f"The saddle has index {saddle.verdict.index} and J = {saddle.verdict.value:.4g}; "
            f"all methods start at a distance of {self.distance:g}. After "
            f"{counted(len(history) - 1, 'step')}, "
        )
        sentence += (
            ", ".join(
                (
                    f"{method.label} is at a distance of {last.distances[i]:.3g} with J = "
                    f"{last.values[i]:.4g}"
                )
                for i, method in enumerate(methods)
            )
            + "."
        )
        keys = ("newton", "saddle_free", "descent")
        figures = {f"{key}_distance": float(last.distances[i]) for i, key in enumerate(keys)}
        figures |= {f"{key}_cost": float(last.values[i]) for i, key in enumerate(keys)}
        headings = (
            "method",
            "steps",
            "J",
            "gradient norm",
            "distance from the saddle",
            "index",
            "kind",
        )
        return DemonstrationResult(
            table(headings, rows),
            plots,
            sentence,
            {**figures, "saddle_cost": saddle.verdict.value},
            done,
        )


class _At:
    """The state of the methods after a step.

    Attributes:
        theta: ``[R, P]``. values, norms, distances: cost, gradient norm and distance from the
            saddle of each method, ``[R]``.
    """

    def __init__(self, made: Network, saddle: Reached, theta: torch.Tensor) -> None:
        value, g = made.landscape.value_and_gradient(theta)
        self.theta = theta
        self.values: Array = numbers(value)
        self.norms: Array = numbers(torch.linalg.vector_norm(g, dim=1))
        self.distances: Array = numbers(torch.linalg.vector_norm(theta - saddle.theta, dim=1))
