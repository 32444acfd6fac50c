"""L-BFGS: BFGS from the last few steps, in memory that grows with P (A13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import curved, dot, each, first_length, line_search
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class LBFGS(ObjectiveOptimizer):
    """BFGS without its matrix: the direction is computed from the last m steps and their changes of
    the gradient.

    Two passes over the m pairs give the product of the gradient with the matrix that BFGS would
    have built from them, starting from the identity times the newest pair's curvature. The memory
    is 2m vectors, so it suits models of any size.

    Use the full batch or a large one: the line search and the pair of each step see this step's
    batch only, and on small batches the pairs hold noise. The gradient at the end of a step is
    taken on the same batch as the one at its start, which is taken anew because the batch may be
    another; a step costs one gradient and one for each trial of the line search, usually 2 in all.

    Where a direction does not lead downhill or the search gives up, the pairs are forgotten and the
    method starts anew from the negative gradient; the run tells so.
    """

    name: ClassVar[str] = "lbfgs"
    label: ClassVar[str] = "L-BFGS"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 260
    fixed: ClassVar[tuple[str, ...]] = ("history",)
    rule: ClassVar[tuple[str, ...]] = (
        r"q \leftarrow g;\quad a_i \leftarrow \rho_i s_i^\top q,\; q \leftarrow q - a_i y_i \quad (i \text{ from new to old})",
        r"q \leftarrow \frac{s_k^\top y_k}{y_k^\top y_k} q",
        r"q \leftarrow q + s_i (a_i - \rho_i y_i^\top q) \quad (i \text{ from old to new})",
        r"\theta \leftarrow \theta - t q,\quad t \text{ by line search}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the start of the step",
        "q": "product of the inverse Hessian's estimate with the gradient",
        "s_i, y_i": "change of the parameters and of the gradient in a past step, both ends on one batch; k is the newest",
        "ρ_i": "1 / (y_iᵀ s_i)",
        "t": "step length that satisfies the strong Wolfe conditions",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.6.3; J. Nocedal (1980); D. Liu, J. Nocedal (1989); J. Nocedal, S. Wright, Numerical Optimization, Algorithms 7.4 and 7.5."
    )
    differences: ClassVar[str] = (
        "torch.optim.LBFGS takes up to 20 iterations in one call of step(), with a fixed rate unless line_search_fn='strong_wolfe' is given, and keeps 100 "
        "pairs; a step here is one iteration, always with the line search."
    )

    history: int = integer(
        10,
        "Pairs kept",
        symbol="m",
        ge=1,
        le=1000,
        slider=(1, 100),
        help="Past steps that the inverse Hessian is estimated from; memory is twice as many vectors of P numbers. It cannot be changed while a run goes.",
        why="Between 3 and 20 serve; more than that rarely pays, because the curvature of long ago is that of another place.",
    )
    c2: float = shared.line_search_accuracy(0.9)

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        runs, parameters = theta.shape
        shape = (runs, int(h.history), parameters)
        return {
            "s": theta.new_zeros(shape),
            "y": theta.new_zeros(shape),
            "pairs": torch.zeros(runs, 1, dtype=torch.int64, device=theta.device),
        }

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return each(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    """``s`` and ``y`` are ``[1, m, P]``, the newest last; the last ``pairs`` of them count."""
    value, g = objective.gradient(theta)
    if not dot(g, g) > 0.0:
        return Outcome(theta, state, value, g)
    notes: list[str] = []
    pairs = int(state["pairs"].item())
    d = -_product(g, state["s"], state["y"], pairs)
    if not dot(g, d) < 0.0:
        notes.append(
            "the direction does not lead downhill; the past steps were forgotten and the step follows the negative gradient"
        )
        pairs, d = 0, -g
    found = line_search(theta, d, objective, value, g, 1.0 if pairs else first_length(g), h.c2)
    best = found.best
    after = {"s": state["s"], "y": state["y"]}
    if found.problem:
        notes.append(f"the line search gave up: {found.problem}; the past steps were forgotten")
        pairs = 0
    else:
        s, y = best.t * d, best.gradient - g
        # Sure to be positive where the strong Wolfe conditions hold, but for rounding.
        if curved(s, y):
            after = {
                name: torch.cat([state[name][:, 1:], new.unsqueeze(1)], dim=1)
                for name, new in (("s", s), ("y", y))
            }
            pairs = min(pairs + 1, state["s"].shape[1])
        else:
            notes.append("the gradient did not change along the step; the pair was left out")
    after["pairs"] = torch.full_like(state["pairs"], pairs)
    return Outcome(theta + best.t * d, after, value, g, ("; ".join(notes),))


def _product(g: torch.Tensor, s: torch.Tensor, y: torch.Tensor, pairs: int) -> torch.Tensor:
    """The inverse Hessian's estimate times ``g`` ``[1, P]``, by the two-loop recursion over the
    last ``pairs`` of ``s``, ``y`` ``[1, m, P]``.
    """
    m = s.shape[1]
    places = range(m - pairs, m)
    q = g
    rho = {i: 1.0 / dot(s[:, i], y[:, i]) for i in places}
    share: dict[int, float] = {}
    for i in reversed(places):
        share[i] = rho[i] * dot(s[:, i], q)
        q = q - share[i] * y[:, i]
    if pairs:
        q = q / (rho[m - 1] * dot(y[:, m - 1], y[:, m - 1]))
    for i in places:
        q = q + (share[i] - rho[i] * dot(y[:, i], q)) * s[:, i]
    return q
