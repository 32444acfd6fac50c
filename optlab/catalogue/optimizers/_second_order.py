"""Code shared by second-order rules: fields, the choice of solver, and notes about their steps.

A solver either builds the matrix and decomposes it, or uses matrix-vector products only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Outcome
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
        why="Enough for the directions that matter most; an exact solution for one batch rarely"
        " pays.",
    )


def tolerance() -> Any:
    """Return the field ``tolerance`` of conjugate gradients."""
    return number(
        1e-4,
        "Tolerance",
        ge=0.0,
        lt=1.0,
        log=True,
        slider=(1e-12, 0.5),
        help="Conjugate gradients stop when the norm of the residual is this share of the"
        " gradient's.",
        why="The noise of a minibatch is larger than this.",
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
    theta: torch.Tensor,
    g: torch.Tensor,
    matrix: Callable[[torch.Tensor], torch.Tensor],
    product: Callable[[torch.Tensor], Product],
) -> tuple[torch.Tensor, list[str]]:
    """Return ``(A + λI)⁻¹ g`` ``[R, P]``, and a note per run.

    A note says that a direction of negative curvature ended conjugate gradients, or is "".

    Args:
        h: the fields ``solver``, ``damping``, ``iterations`` and ``tolerance``.
        theta: parameters ``[R, P]``.
        g: gradients ``[R, P]``.
        matrix: ``theta`` → A ``[R, P, P]``.
        product: ``theta`` → the function ``v [R, P] → A v [R, P]``.
    """
    if builds_matrix(h, theta):
        return symmetric.solve(matrix(theta), g, h.damping).x, [""] * len(theta)
    undamped = product(theta)

    def damped(v: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = undamped(v) + h.damping * v
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
