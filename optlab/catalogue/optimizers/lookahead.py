"""Lookahead: slow weights that follow every few steps of another rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._inner import inner_rule
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Lookahead(Optimizer):
    """Another rule takes k steps; then slow weights move a share of the way, and it starts there.

    The fast weights explore with a rule of your choice. Every k steps the slow weights take a step
    towards them, and the fast weights return to the slow ones. This averages out oscillations, so
    that the fast rule tolerates larger rates and other settings. The losses are those of the fast
    weights; those of the slow weights are recorded as losses of the average.
    """

    name: ClassVar[str] = "lookahead"
    label: ClassVar[str] = "Lookahead"
    group: ClassVar[str] = "Wrapped rules"
    sort_order: ClassVar[int] = 100
    rule: ClassVar[tuple[str, ...]] = (
        r"\theta \leftarrow \mathrm{rule}(\theta, g)",
        r"\varphi \leftarrow \varphi + \alpha_s\, (\theta - \varphi),\quad \theta \leftarrow"
        r" \varphi \quad \mathrm{every}\ k\ \mathrm{steps}",
    )
    traced: ClassVar[tuple[str, ...]] = ("fast", "slow", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters: the fast weights",
        "φ": "slow weights, initially θ",
        "g": "gradient of the objective on the batch",
    }
    source: ClassVar[str] = (
        "M. Zhang et al., Lookahead Optimizer: k Steps Forward, 1 Step Back (2019), algorithm 1;"
        " not in the notes."
    )
    differences: ClassVar[str] = (
        "The state of the fast rule, such as a velocity, goes on unchanged when the fast weights"
        " return, as in the authors' code by default. All fields of the fast rule but ε and α have"
        " their defaults."
    )

    lr: float = shared.learning_rate(
        0.01,
        slider=(1e-5, 10.0),
        help="Learning rate of the fast rule.",
        why="That of momentum, the default of the fast rule.",
    )
    before: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lion"] = choice(
        "momentum", "Fast rule", help="Rule that moves the fast weights."
    )
    momentum: float = shared.momentum(
        0.9,
        only_if=("before", ("momentum",)),
        help="Share of the velocity that a step keeps, for a fast rule with a velocity.",
    )
    period: int = integer(
        5,
        "Steps forward",
        symbol="k",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 100),
        help="Steps of the fast weights for each step of the slow ones.",
        why="The authors use 5 to 10; the result hardly depends on it.",
    )
    share: float = number(
        0.5,
        "Share of the slow step",
        symbol="αₛ",
        gt=0.0,
        le=1.0,
        slider=(0.05, 1.0),
        help="Share of the way to the fast weights that the slow weights move; 1 is the fast rule"
        " alone.",
        why="The default of the authors, who use 0.5 to 0.8.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        inner, inner_h = inner_rule(h.before, h)
        return {**inner.begin(theta, inner_h), "varphi": theta.clone()}

    @staticmethod
    def average(state: State) -> torch.Tensor | None:
        return state["varphi"]

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        inner, inner_h = inner_rule(h.before, h)
        slow = state["varphi"]
        own = {name: value for name, value in state.items() if name != "varphi"}
        fast, own = inner.update(theta, g, own, inner_h)
        due = theta.new_full((), h.step, dtype=torch.int64) % h.period == 0
        slow = torch.where(due, slow + h.share * (fast - slow), slow)
        return torch.where(due, slow, fast), {**own, "varphi": slow}
