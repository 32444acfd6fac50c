"""Nonlinear conjugate gradients (A12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import initial_step_length, line_search, run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, integer
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class ConjugateGradient(ObjectiveOptimizer):
    """Descent along directions that do not undo the progress made along the previous ones.

    Steepest descent with a line search turns by a right angle at every step and so zigzags through
    a canyon. This method adds a multiple β of the previous direction to the negative gradient, so
    that on a quadratic function successive directions are conjugate: the gradient stays zero along
    all of them, and P exact line searches reach the minimum in P parameters. Memory is O(P).

    A line search compares values at several points on the batch of the step. Use the full batch or
    a large one; on a small batch the minimum along the line is mostly a minimum of the noise. β is
    computed from the gradients at the start and at the end of the step, both on the same batch. A
    step costs one gradient plus one per trial of the line search, usually 3 or 4 in total.

    The direction is reset to the negative gradient every n steps, when it is not a descent
    direction, and after a failed line search; the run reports the last two.
    """

    name: ClassVar[str] = "conjugate_gradient"
    label: ClassVar[str] = "Nonlinear conjugate gradients"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 240
    rule: ClassVar[tuple[str, ...]] = (
        r"d \leftarrow -g + \beta d",
        r"\theta \leftarrow \theta + t d,\quad t \text{ by line search}",
        r"\beta_{FR} = \frac{g_+^\top g_+}{g^\top g}",
        r"\beta_{PR} = \frac{(g_+ - g)^\top g_+}{g^\top g}",
        r"\beta_{PR+} = \max(0, \beta_{PR})",
    )
    traced: ClassVar[tuple[str, ...]] = ("d", "after", "beta")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the start of the step",
        "g₊": "gradient at its end, on the same batch",
        "d": "direction",
        "β": "share of the direction that the next one keeps, 0 initially and after a restart",
        "t": "step length that satisfies the strong Wolfe conditions",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.6.2; R. Fletcher, C. Reeves (1964); E. Polak, G. Ribière (1969);"
        " J. Nocedal, S. Wright, Numerical Optimization, section 5.2."
    )
    differences: ClassVar[str] = (
        "scipy.optimize.minimize(method='CG') is the form Polak–Ribière+ with c₂ = 0.4 and without"
        " restarts every n steps. It reuses the gradient at the end of a step for the start of"
        " the next; this rule evaluates it again because the batch may differ."
    )

    form: Literal["polak_ribiere_plus", "polak_ribiere", "fletcher_reeves"] = choice(
        "polak_ribiere_plus",
        "Form of β",
        help="Formula for the share of the previous direction that is kept. All forms agree on a"
        " quadratic function with exact line searches.",
        why="Polak–Ribière restarts automatically after a step without progress, where"
        " Fletcher–Reeves gets stuck; + prevents negative β.",
    )
    restart: int = integer(
        0,
        "Restart after",
        symbol="n",
        ge=0,
        unit="steps",
        slider=(0, 200),
        help="Number of steps after which the direction is reset to the negative gradient; 0 means"
        " the number of parameters.",
        why="On a quadratic function the method has converged after P steps.",
    )
    c2: float = shared.line_search_accuracy(
        0.1,
        lt=0.5,
        slider=(1e-6, 0.4),
        why="Conjugate directions need nearly exact searches; below 0.5, Fletcher–Reeves always"
        " gives a descent direction.",
    )

    def lines(self) -> tuple[str, ...]:
        number = {"fletcher_reeves": 2, "polak_ribiere": 3}.get(self.form)
        beta = r"\beta \leftarrow \max(0, \frac{(g_+ - g)^\top g_+}{g^\top g})"
        if number is not None:
            beta = r"\beta \leftarrow " + self.rule[number].split("=", 1)[1].strip()
        return (*self.rule[:2], beta)

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        column = theta.new_zeros(theta.shape[0], 1)
        return {
            "d": torch.zeros_like(theta),
            "beta": column,
            "gain": column,
            "since": torch.zeros_like(column, dtype=torch.int64),
        }

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    """Take one step.

    ``gain`` is t·gᵀd of the last step that moved; the first trial of the next one has the length
    that predicts the same decrease. ``since`` counts the steps since a restart.
    """
    value, g = objective.gradient(theta)
    gg = dot(g, g)
    if not gg > 0.0:
        return Outcome(theta, state, value, g)
    notes: list[str] = []
    since = int(state["since"].item())
    d = -g + state["beta"] * state["d"]
    if not dot(g, d) < 0.0:
        notes.append(
            "the conjugate direction is not a descent direction; restarted from the negative"
            " gradient"
        )
        d, since = -g, 0
    slope, gain = dot(g, d), float(state["gain"].item())
    first = gain / slope if gain < 0.0 else initial_step_length(theta, value, g, d)
    search = line_search(theta, d, objective, value, g, first, h.c2)
    best = search.best
    t = best.t
    gain = t * slope if t > 0.0 else gain
    beta = _beta(h.form, gg, g, best.gradient)
    since += 1
    if since >= (int(h.restart) or theta.shape[1]):
        beta, since = 0.0, 0
    if search.problem:
        notes.append(
            f"the line search failed: {search.problem}; the next step restarts from the negative"
            " gradient"
        )
        beta, since = 0.0, 0
    after: State = {
        "d": d,
        "beta": torch.full_like(state["beta"], beta),
        "gain": torch.full_like(state["gain"], gain),
        "since": torch.full_like(state["since"], since),
    }
    return Outcome(theta + t * d, after, value, g, ("; ".join(notes),))


def _beta(form: str, gg: float, g: torch.Tensor, after: torch.Tensor) -> float:
    if form == "fletcher_reeves":
        return dot(after, after) / gg
    beta = dot(after - g, after) / gg
    return max(0.0, beta) if form == "polak_ribiere_plus" else beta
