"""Gradient descent with a backtracking line search on each batch."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer, number
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot


class SGDLineSearch(ObjectiveOptimizer):
    """Gradient descent whose rate is shortened until the loss of the batch falls enough.

    The first trial of a step is somewhat longer than the last rate, so that the rate can grow
    again. It is shortened until the value on the same batch has fallen by a share of what the
    slope promises (Armijo's condition). Where a model can fit every batch, this finds good rates
    without tuning; where it cannot, the rates of single batches are too large at the end.
    """

    name: ClassVar[str] = "sgd_line_search"
    label: ClassVar[str] = "SGD with line search"
    group: ClassVar[str] = "Step by the value"
    sort_order: ClassVar[int] = 39
    rule: ClassVar[tuple[str, ...]] = (
        r"\eta \leftarrow \min(\gamma \eta,\ \epsilon)",
        r"\eta \leftarrow \beta \eta \quad \mathrm{until} \quad J(\theta - \eta g) \leq J(\theta) -"
        r" c_1 \eta\, \|g\|^2",
        r"\theta \leftarrow \theta - \eta\, g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "J": "value of the objective on the same batch, with weight decay",
        "η": "rate of this step; the first trial of the first step is ε",
    }
    along_gradient: ClassVar[bool] = True
    source: ClassVar[str] = (
        "L. Armijo (1966); S. Vaswani et al., Painless Stochastic Gradient (2019), algorithm 1; not"
        " in the notes."
    )
    differences: ClassVar[str] = (
        "Same as optax.scale_by_backtracking_linesearch after plain gradient descent. torch has no"
        " line search for batches. If no trial is accepted, the parameters stay, and the run says"
        " so. The chosen rate is not the series “rate”, which shows ε."
    )

    lr: float = shared.learning_rate(
        1.0,
        slider=(1e-3, 100.0),
        help="Largest rate, and the first trial of the first step; a schedule acts on it.",
        why="The default of Vaswani et al.",
    )
    decrease: float = number(
        0.1,
        "Share of the promised decrease",
        symbol="c₁",
        gt=0.0,
        lt=1.0,
        log=True,
        slider=(1e-4, 0.9),
        help="A trial is accepted if the value falls by at least this share of what the slope"
        " promises.",
        why="The default of Vaswani et al.",
    )
    shrink: float = number(
        0.8,
        "Shortening",
        symbol="β",
        gt=0.0,
        lt=1.0,
        slider=(0.1, 0.95),
        help="Factor of the rate after a trial that is not accepted.",
        why="Between the 0.9 of Vaswani et al. and fewer evaluations.",
    )
    grow: float = number(
        1.5,
        "Lengthening",
        symbol="γ",
        ge=1.0,
        slider=(1.0, 4.0),
        help="Factor of the last rate in the first trial of a step.",
        why="The default of optax; a rate that was once too long can recover in a few steps.",
    )
    trials: int = integer(
        30,
        "Largest number of trials",
        ge=1,
        le=1000,
        log=True,
        slider=(1, 100),
        help="Each costs one evaluation of the value.",
        why="Enough for a rate a thousand times too long.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        # No rate has been accepted yet.
        return {"rate": torch.zeros_like(theta[:, :1])}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    loss, g = objective.gradient(theta)
    squared = dot(g, g)
    if squared == 0.0 or h.lr == 0.0:
        return Outcome(theta, state, loss, g, ("",))
    last = state["rate"].item()
    rate = min(h.grow * last, h.lr) if last else h.lr
    for _ in range(h.trials):
        after = theta - rate * g
        if objective.loss(after).item() <= loss.item() - h.decrease * rate * squared:
            return Outcome(after, {"rate": torch.full_like(state["rate"], rate)}, loss, g, ("",))
        rate *= h.shrink
    note = (
        f"none of {h.trials} trials lowered the value enough, down to a rate of {rate:.3g}; the"
        " parameters stay"
    )
    return Outcome(theta, {"rate": torch.full_like(state["rate"], rate)}, loss, g, (note,))
