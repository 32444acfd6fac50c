"""L-BFGS: BFGS from the last few steps, with memory O(P) (A13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import (
    has_positive_curvature,
    initial_step_length,
    line_search,
    run_by_run,
)
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class LBFGS(ObjectiveOptimizer):
    """BFGS without its matrix: directions from the last m steps and changes of the gradient.

    Two passes over the m pairs give the product of the gradient with the matrix that BFGS would
    have built from them, starting from a multiple of the identity that is scaled with the newest
    pair. The memory is 2m vectors, so the method suits models of any size.

    Use the full batch or a large one: the line search and the pair of each step use the batch of
    the step, and on small batches the pairs are mostly noise. Both gradients of a step, at its
    start and at its end, are evaluated on the same batch; a step costs one gradient plus one per
    trial of the line search, usually 2 in total.

    If the direction is not a descent direction or the line search fails, the pairs are discarded
    and the method restarts from the negative gradient; the run reports it.
    """

    name: ClassVar[str] = "lbfgs"
    label: ClassVar[str] = "L-BFGS"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 260
    fixed: ClassVar[tuple[str, ...]] = ("history",)
    rule: ClassVar[tuple[str, ...]] = (
        r"q \leftarrow g;\quad a_i \leftarrow \rho_i s_i^\top q,\; q \leftarrow q - a_i y_i \quad "
        r"(i \text{ from new to old})",
        r"q \leftarrow \frac{s_k^\top y_k}{y_k^\top y_k} q",
        r"q \leftarrow q + s_i (a_i - \rho_i y_i^\top q) \quad (i \text{ from old to new})",
        r"\theta \leftarrow \theta - t q,\quad t \text{ by line search}",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "", "", "q", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the start of the step",
        "q": "product of the estimated inverse Hessian with the gradient",
        "s_i, y_i": "change of the parameters and of the gradient in a past step, on the batch of"
        " that step; k is the newest",
        "ρ_i": "1 / (y_iᵀ s_i)",
        "t": "step length that satisfies the strong Wolfe conditions",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.6.3; J. Nocedal (1980); D. Liu, J. Nocedal (1989); J. Nocedal,"
        " S. Wright, Numerical Optimization, Algorithms 7.4 and 7.5."
    )
    differences: ClassVar[str] = (
        "torch.optim.LBFGS runs up to 20 iterations per call of step(), with a fixed rate unless"
        " line_search_fn='strong_wolfe', and keeps 100 pairs; a step of this rule is one"
        " iteration, always with the line search."
    )

    history: int = integer(
        10,
        "Pairs kept",
        symbol="m",
        ge=1,
        le=1000,
        slider=(1, 100),
        help="Number of past steps from which the inverse Hessian is estimated; memory is twice as"
        " many vectors of P numbers. It cannot be changed during a run.",
        why="Values between 3 and 20 are common; more rarely helps, because old pairs describe the"
        " curvature at distant points.",
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
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    """Take one step; ``s`` and ``y`` ``[1, m, P]`` hold ``pairs`` valid pairs, the newest last."""
    value, g = objective.gradient(theta)
    if not dot(g, g) > 0.0:
        return Outcome(theta, state, value, g)
    notes: list[str] = []
    pairs = int(state["pairs"].item())
    q = _product(g, state["s"], state["y"], pairs)
    d = -q
    if not dot(g, d) < 0.0:
        notes.append(
            "the direction is not a descent direction; the past steps were discarded and the step"
            " follows the negative gradient"
        )
        pairs, q, d = 0, g, -g
    first = 1.0 if pairs else _first_length(theta, value, g, state)
    search = line_search(theta, d, objective, value, g, first, h.c2)
    best = search.best
    t = best.t
    after = {"s": state["s"], "y": state["y"]}
    if search.problem:
        notes.append(f"the line search failed: {search.problem}; the past steps were discarded")
        pairs = 0
    else:
        s, y = best.t * d, best.gradient - g
        # Positive wherever the strong Wolfe conditions hold, up to rounding.
        if has_positive_curvature(s, y):
            after = {
                name: torch.cat([state[name][:, 1:], new.unsqueeze(1)], dim=1)
                for name, new in (("s", s), ("y", y))
            }
            pairs = min(pairs + 1, state["s"].shape[1])
        else:
            notes.append("the gradient did not change along the step; the pair was not stored")
    after["pairs"] = torch.full_like(state["pairs"], pairs)
    return Outcome(theta + t * d, after, value, g, ("; ".join(notes),))


def _first_length(theta: torch.Tensor, value: torch.Tensor, g: torch.Tensor, state: State) -> float:
    """Return the first step length along ``−g``: by the curvature of the newest pair, if any."""
    s, y = state["s"][:, -1], state["y"][:, -1]
    if has_positive_curvature(s, y):
        return dot(s, y) / dot(y, y)
    return initial_step_length(theta, value, g)


def _product(g: torch.Tensor, s: torch.Tensor, y: torch.Tensor, pairs: int) -> torch.Tensor:
    """Return the estimated inverse Hessian times ``g`` ``[1, P]``.

    Computed by the two-loop recursion over the last ``pairs`` of ``s``, ``y`` ``[1, m, P]``.
    """
    m = s.shape[1]
    indices = range(m - pairs, m)
    q = g
    rho = {i: 1.0 / dot(s[:, i], y[:, i]) for i in indices}
    share: dict[int, float] = {}
    for i in reversed(indices):
        share[i] = rho[i] * dot(s[:, i], q)
        q = q - share[i] * y[:, i]
    if pairs:
        q = q / (rho[m - 1] * dot(y[:, m - 1], y[:, m - 1]))
    for i in indices:
        q = q + (share[i] - rho[i] * dot(y[:, i], q)) * s[:, i]
    return q
