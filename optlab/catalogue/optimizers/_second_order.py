"""Code shared by second-order rules: fields, the choice of solver, and notes about their steps.

A solver either builds the matrix and decomposes it, or uses matrix-vector products only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._damped_steps import controlled, controlled_step
from optlab.catalogue.optimizers.base import Objective, Outcome, State
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.core.limits import EXACT_UP_TO, MAX_DENSE
from optlab.numerics import conjugate_gradients, symmetric
from optlab.numerics.conjugate_gradients import Product

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

Solver = Literal["auto", "exact", "products"]


def rate(
    help: str,
    why: str = "A full step of the quadratic model; use less where the model is less accurate.",
) -> Any:
    """Return the field ``lr`` of a rule whose full step has a rate of 1."""
    return shared.learning_rate(1.0, slider=(1e-3, 2.0), help=help, why=why)


def damping(default: float, help: str, why: str) -> Any:
    """Return the field ``damping``."""
    return number(
        default, "Damping", symbol="λ", ge=0.0, log=True, slider=(1e-8, 100.0), help=help, why=why
    )


def solver(products: str) -> Any:
    """Return the field ``solver``; ``products`` says what the choice of that name does."""
    return choice(
        "auto",
        "Solver",
        help=f"“exact” builds the matrix and decomposes it; “products” {products}; “auto” is"
        " “exact”"
        f" up to P = {EXACT_UP_TO}, and “products” above.",
    )


def iterations() -> Any:
    """Return the field ``iterations`` of conjugate gradients."""
    return integer(
        50,
        "Maximum iterations",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 500),
        help="Maximum number of products with the matrix per step; each costs about two gradients."
        " Fewer iterations act like more damping.",
        why="The tolerance usually ends a solve earlier.",
    )


def tolerance() -> Any:
    """Return the field ``tolerance`` of conjugate gradients."""
    return number(
        0.2,
        "Tolerance",
        ge=0.0,
        lt=1.0,
        log=True,
        slider=(1e-12, 0.5),
        help="Conjugate gradients stop when the norm of the residual is this share of the"
        " gradient's.",
        why="The quadratic model is valid for short steps only, and the first few products"
        " find most of its decrease; more of them serve the batch and not the objective.",
    )


def refusal(solver: str, parameters: int) -> str:
    """Return why a matrix with this many rows is not built, or "" if it is."""
    if solver != "exact" or parameters <= MAX_DENSE:
        return ""
    return (
        f"optimizer.solver is 'exact', which builds a matrix of {parameters:,} × {parameters:,}"
        f" numbers at each step, but at most {MAX_DENSE:,} rows are allowed; use products."
    )


def builds_matrix(h: Hyperparameters, theta: torch.Tensor) -> bool:
    """Return whether the solver builds the matrix for parameters ``theta`` ``[R, P]``."""
    return bool(h.solver == "exact" or (h.solver == "auto" and theta.shape[1] <= EXACT_UP_TO))


def damped_solve(
    h: Hyperparameters,
    g: torch.Tensor,
    matrix: torch.Tensor | None,
    product: Product | None,
    damping: Any,
) -> tuple[torch.Tensor, list[str]]:
    """Return ``(A + λI)⁻¹ g`` ``[R, P]``, and a note per run.

    A note says that a direction of negative curvature ended conjugate gradients, or is "".

    Args:
        h: the fields ``iterations`` and ``tolerance``.
        g: gradients ``[R, P]``.
        matrix: A ``[R, P, P]`` where it was built, else None.
        product: the function ``v [R, P] → A v [R, P]`` otherwise.
        damping: λ, a number or a column ``[R, 1]``.
    """
    if matrix is not None:
        return symmetric.solve(matrix, g, damping).x, [""] * len(g)
    assert product is not None

    def damped(v: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = product(v) + damping * v
        return result

    solution = conjugate_gradients.solve(damped, g, iterations=h.iterations, tolerance=h.tolerance)
    notes = [
        f"conjugate gradients met a direction of negative curvature at product {number}; the step"
        " uses the partial solution up to that point"
        if negative
        else ""
        for negative, number in zip(
            solution.negative.tolist(), solution.iterations.tolist(), strict=True
        )
    ]
    return solution.x, notes


def damped_step(
    theta: torch.Tensor,
    objective: Objective,
    state: State,
    h: Hyperparameters,
    matrix: Callable[[torch.Tensor], torch.Tensor],
    product: Callable[[torch.Tensor], Product],
) -> Outcome:
    """Take the step of a rule with the direction ``(A + λI)⁻¹ g``, controlled where it says so.

    Args:
        theta: parameters ``[R, P]``. h: the fields of the rule.
        matrix: ``theta`` → A ``[R, P, P]``.
        product: ``theta`` → the function ``v [R, P] → A v [R, P]``.
    """
    evaluated = objective.gradient(theta)
    built = matrix(theta) if builds_matrix(h, theta) else None
    multiply = product(theta) if built is None else None

    def solve(damping: Any, g: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
        return damped_solve(h, g, built, multiply, damping)

    if not controlled(h, theta):
        direction, ended = solve(h.damping, evaluated[1])
        uphill = ascent_notes(evaluated[1], direction)
        notes = [first or second for first, second in zip(ended, uphill, strict=True)]
        return outcome(theta, h, evaluated, direction, notes)
    return controlled_step(
        theta, objective, state, h, evaluated, solve, multiply or matrix_product(built)
    )


def matrix_product(matrix: torch.Tensor | None) -> Product:
    """Return ``v [R, P] → A v`` of matrices A ``[R, P, P]``."""
    assert matrix is not None
    return lambda v: torch.einsum("rij,rj->ri", matrix, v)


def ascent_notes(g: torch.Tensor, direction: torch.Tensor) -> list[str]:
    """Return a note per run that says that the step ``−direction`` is an ascent step, or "".

    Both are ``[R, P]``. ``direction`` is ``A⁻¹g``, so the slope is the curvature along it.
    """
    slopes = (g * direction).sum(dim=1)
    uphill = ((slopes <= 0.0) & (g != 0.0).any(dim=1)).tolist()
    return [
        "the step leads uphill, to first order: the damped curvature along it is negative"
        f" (gᵀd = {slope:.3g}), and the critical point that it aims at is a saddle or a maximum"
        if up
        else ""
        for up, slope in zip(uphill, slopes.tolist(), strict=True)
    ]


def outcome(
    theta: torch.Tensor,
    h: Hyperparameters,
    evaluated: tuple[torch.Tensor, torch.Tensor],
    direction: torch.Tensor,
    notes: list[str] | None = None,
) -> Outcome:
    """Return the outcome of the step ``θ ← θ − ε d``.

    Args:
        theta: parameters ``[R, P]``.
        h: the field ``lr``.
        evaluated: value ``[R]`` and gradient ``[R, P]`` at ``theta``.
        direction: d ``[R, P]``.
        notes: one message per run.
    """
    loss, g = evaluated
    return Outcome(theta - h.lr * direction, {}, loss, g, tuple(notes or ()))


def coefficients(basis: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return ``basis · v`` ``[R, k]``, for a basis ``[R, k, P]`` and vectors ``v`` ``[R, P]``."""
    products: torch.Tensor = torch.einsum("rkp,rp->rk", basis, v)
    return products
