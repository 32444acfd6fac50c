"""Weight-space symmetry: different parameters, the same network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from optlab.core.fields import Sizes, choice, integer, number, sizes
from optlab.core.lazy import torch
from optlab.objective.objective import Objective
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._networks import Network, descents, network, optimizer
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
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

_ROUNDING = 1e-11
"""Relative change of the cost that rounding can cause in double precision."""
_FACTORS = (0.1, 0.5, 2.0, 10.0)
_ALONG = 41


class Symmetry(Demonstration):
    """Exchange two hidden units, or rescale one: the cost stays the same, the parameters do not.

    Rescaling multiplies the incoming weights of a ReLU unit by a and divides the outgoing ones by a.

    A layer of n units can be arranged in n! ways and m such layers in (n!)^m, so every minimum has
    as many copies; scaling adds a curve of copies through each. All cost the same, so they do not
    harm the search. Along a scaling the cost is constant, but the gradient is not: the same network
    can be a well-conditioned or an ill-conditioned problem, depending on its parameters. On the
    straight line between two arrangements the cost can rise.
    """

    name: ClassVar[str] = "symmetry"
    label: ClassVar[str] = "Weight-space symmetry"
    row: ClassVar[str] = "C4"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"\left(W_l,\ b_l,\ W_{l+1}\right) \rightarrow \left(P W_l,\ P b_l,\ W_{l+1} "
            r"P^{\top}\right)"
        ),
        (
            r"\text{ReLU:}\quad \left(w_i,\ b_i,\ u_i\right) \rightarrow \left(a\, w_i,\ a\, b_i,\ "
            r"u_i / a\right),\quad a > 0"
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "P": "permutation of the units of layer l",
        "w_i, b_i, u_i": "incoming weights, bias and outgoing weights of a unit",
        "n, m": "units of a layer, and number of such layers",
    }
    source: ClassVar[str] = "Notes, section on model identifiability; Deep Learning, section 8.2.2."
    note: ClassVar[str] = (
        "J before and after agrees to rounding error; under scaling only with ReLU, because tanh "
        "is not homogeneous."
    )

    hidden: Sizes = sizes(
        (8, 8),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer; at least two units in one layer.",
    )
    activation: Literal["relu", "tanh"] = choice(
        "relu", "Activation", help="Scaling is a symmetry of relu only, swapping of both."
    )
    steps: int = integer(
        100,
        "Training steps",
        ge=0,
        le=100_000,
        log=True,
        slider=(1, 2000),
        help="Steps of training on the iris data before units are exchanged.",
    )
    swaps: int = integer(
        3,
        "Swaps in each layer",
        ge=1,
        le=1000,
        slider=(1, 20),
        help="Number of randomly drawn pairs of units that are exchanged.",
    )
    rate: float = number(
        0.05,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Learning rate of the preceding training, with momentum 0.9.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made = network(
            {"name": "iris"},
            {"name": "mlp", "hidden": list(self.hidden), "activation": self.activation},
            {"name": "cross_entropy", "l2": 0.0},
        )
        theta = made.starts([self.seed], {"name": "he"})
        method = optimizer("momentum", lr=self.rate)
        for taken in itertools.islice(
            descents(made.objective, made.x, made.y, theta, [method]), self.steps
        ):
            theta = taken.after
            if not progress.should_continue():
                return
        tried = _Tried(made, theta)
        rng = numpy_generator(self.seed, stream("symmetry"))
        other = theta
        for layer, units in enumerate(self.hidden):
            for _ in range(self.swaps if units > 1 else 0):
                one, two = (int(unit) for unit in rng.choice(units, 2, replace=False))
                tried.add(
                    "swap",
                    layer,
                    f"units {one} and {two}",
                    swapped(made.objective, theta, layer, one, two),
                )
            order = rng.permutation(units)
            other = arranged(made.objective, other, layer, order.tolist())
            unit = int(rng.integers(units))
            for factor in _FACTORS:
                tried.add(
                    "scale",
                    layer,
                    f"unit {unit} by {factor:g}",
                    scaled(made.objective, theta, layer, unit, factor),
                )
            done = (layer + 1) / (len(self.hidden) + 1)
            progress.report(done)
            yield self._result(tried, (), done)
            if not progress.should_continue():
                return
        tried.add("arrange", None, "all units of all layers", other)
        yield self._result(
            tried,
            (_between(made, theta, other), _along_scaling(made, theta)) if self.hidden else (),
            1.0,
        )

    def _result(self, tried: _Tried, plots: tuple[Plot, ...], done: float) -> DemonstrationResult:
        exact = [
            abs(float(row[4]))  # type: ignore[arg-type]
            for row in tried.rows
            if row[0] != "scale" or self.activation == "relu"
        ]
        moved = [float(row[5]) for row in tried.rows]  # type: ignore[arg-type]
        ways = math.prod(math.factorial(units) for units in self.hidden)
        worst = max(exact, default=0.0)
        sentence = (
            f"Over {counted(len(exact), 'transformation')} the relative change of the cost is at "
            f"most {worst:.1e}, which is "
            f"{'rounding error' if worst <= _ROUNDING else 'more than rounding error'}, while θ "
            f"moves by up to {max(moved, default=0.0):.3g}. "
            f"The units of {counted(len(self.hidden), 'layer')} can be arranged in "
            f"{' · '.join(f'{units}!' for units in self.hidden) or '1'} = {ways:.6g} ways, so each "
            "minimum whose units all differ has as many copies."
        )
        if self.activation != "relu":
            broken = [abs(float(row[4])) for row in tried.rows if row[0] == "scale"]  # type: ignore[arg-type]
            sentence += (
                " Scaling tanh units, which are not homogeneous, changes the cost by up to "
                f"{max(broken, default=0.0):.2g} of its value."
            )
        headings = (
            "operation",
            "layer",
            "what",
            "J after",
            "change of J / J",
            "distance of θ",
            "gradient norm",
            "J before",
            "norm before",
        )
        shown = plots or (_moved(tried),)
        figures = {
            "largest_relative_change": worst,
            **{
                f"change_by_{kind}": max(
                    (abs(float(row[4])) for row in tried.rows if row[0] == kind),  # type: ignore[arg-type]
                    default=0.0,
                )
                for kind in ("swap", "scale", "arrange")
            },
            "arrangements": float(ways) if ways < 10**300 else math.inf,
            "largest_distance": max(moved, default=0.0),
        }
        return DemonstrationResult(table(headings, tried.rows), shown, sentence, figures, done)


class _Tried:
    """The transformations tried so far, as rows of the table."""

    def __init__(self, made: Network, theta: torch.Tensor) -> None:
        self._landscape, self._theta = made.landscape, theta
        value, g = self._landscape.value_and_gradient(theta)
        self._value, self._norm = float(value), float(torch.linalg.vector_norm(g))
        self.rows: list[tuple[Cell, ...]] = []

    def add(self, operation: str, layer: int | None, what: str, after: torch.Tensor) -> None:
        value, g = self._landscape.value_and_gradient(after)
        change = (float(value) - self._value) / abs(self._value)
        moved, norm = (
            float(torch.linalg.vector_norm(after - self._theta)),
            float(torch.linalg.vector_norm(g)),
        )
        self.rows.append(
            (operation, layer, what, float(value), change, moved, norm, self._value, self._norm)
        )


def swapped(
    objective: Objective, theta: torch.Tensor, layer: int, one: int, two: int
) -> torch.Tensor:
    """Return ``theta`` ``[R, P]`` with two units of a hidden layer exchanged, ``[R, P]``."""
    units = objective.layout.split(theta)[_into(objective, layer)[0]].shape[1]
    order = list(range(units))
    order[one], order[two] = two, one
    return arranged(objective, theta, layer, order)


def arranged(
    objective: Objective, theta: torch.Tensor, layer: int, order: list[int]
) -> torch.Tensor:
    """Return ``theta`` ``[R, P]`` with the units of a hidden layer in this order, ``[R, P]``."""
    after = theta.clone()
    parts = objective.layout.split(after)
    weight, bias, outgoing = _into(objective, layer)
    for index in (weight, bias):
        parts[index].copy_(parts[index][:, order].clone())
    parts[outgoing].copy_(parts[outgoing][:, :, order].clone())
    return after


def scaled(
    objective: Objective, theta: torch.Tensor, layer: int, unit: int, factor: float
) -> torch.Tensor:
    """Return ``theta`` ``[R, P]`` with a hidden unit rescaled.

    The incoming weights of the unit are multiplied by a factor and the outgoing ones divided by it.
    """
    after = theta.clone()
    parts = objective.layout.split(after)
    weight, bias, outgoing = _into(objective, layer)
    for index in (weight, bias):
        parts[index][:, unit] *= factor
    parts[outgoing][:, :, unit] /= factor
    return after


def _into(objective: Objective, layer: int) -> tuple[int, int, int]:
    """Return the positions in the layout of a hidden layer's weight, bias and outgoing weight."""
    stack = objective.model.stack()
    if stack is None:
        raise TypeError(f"{objective.model.label} has no stack of hidden layers")
    weight, bias = stack.layers[layer]
    following = stack.layers[layer + 1] if layer + 1 < len(stack.layers) else stack.output
    return weight, bias, following[0]


def _between(made: Network, theta: torch.Tensor, other: torch.Tensor) -> Plot:
    t = np.linspace(0.0, 1.0, _ALONG)
    points = theta + torch.from_numpy(t).unsqueeze(1) * (other - theta)
    return Plot(
        "On the straight line between two arrangements",
        Axis("position between the two"),
        Axis("J"),
        (Curve("J", t, numbers(made.landscape.value(points))),),
    )


def _along_scaling(made: Network, theta: torch.Tensor) -> Plot:
    factors = np.geomspace(0.1, 10.0, _ALONG)
    points = torch.cat([scaled(made.objective, theta, 0, 0, float(factor)) for factor in factors])
    value, g = made.landscape.value_and_gradient(points)
    curves = (
        Curve("J", factors, numbers(value)),
        Curve("gradient norm", factors, numbers(torch.linalg.vector_norm(g, dim=1))),
    )
    return Plot(
        "A unit of the first layer scaled",
        Axis("factor a", log=True),
        Axis("J, gradient norm", log=True),
        curves,
    )


def _moved(tried: _Tried) -> Plot:
    order = np.arange(1, len(tried.rows) + 1, dtype=np.float64)
    moved = numbers([row[5] for row in tried.rows])
    return Plot(
        "Distance that θ moves",
        Axis("transformation"),
        Axis("distance of θ"),
        (Curve("distance of θ", order, moved),),
    )
