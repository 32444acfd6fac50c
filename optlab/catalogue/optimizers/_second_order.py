"""What rules of second order share: the fields, the choice between a matrix and products with it,
and the words about a step that does not descend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

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
    help: str, why: str = "The quadratic model's own step; less where the model is trusted less."
) -> Any:
    """The field ``lr`` of a rule whose full step has length 1."""
    return number(
        1.0, "Learning rate", symbol="ε", gt=0.0, log=True, slider=(1e-3, 2.0), help=help, why=why
    )


def damping(default: float, help: str, why: str) -> Any:
    """The field ``damping``."""
    return number(
        default, "Damping", symbol="λ", ge=0.0, log=True, slider=(1e-8, 100.0), help=help, why=why
    )


def solver(products: str) -> Any:
    """The field ``solver``; ``products``: what the choice of that name does."""
    return choice(
        "auto",
        "Solver",
        help=f"“exact” builds the matrix and takes its eigenvalues; “products” {products}; “auto” is exact up to P = {EXACT_UP_TO}.",
    )


def iterations() -> Any:
    """The field ``iterations`` of conjugate gradients."""
    return integer(
        50,
        "Most iterations",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 500),
        help="Products that conjugate gradients may take in a step; each costs about two gradients. Fewer act as more damping.",
        why="Enough for the directions that matter most; an exact solution for one batch is rarely worth more.",
    )


def tolerance() -> Any:
    """The field ``tolerance`` of conjugate gradients."""
    return number(
        1e-4,
        "Tolerance",
        ge=0.0,
        lt=1.0,
        log=True,
        slider=(1e-12, 0.5),
        help="Conjugate gradients end when the residual is this share of the gradient's norm.",
        why="The noise of a batch is larger.",
    )


def refusal(solver: str, parameters: int) -> str:
    """Why a matrix of so many rows is not built, in words; "" where it is."""
    if solver != "exact" or parameters <= MAX_DENSE:
        return ""
    return (
        f"optimizer.solver is 'exact', which builds a matrix of {parameters:,} × {parameters:,} numbers at each step, but at most {MAX_DENSE:,} rows are "
        "allowed; use products."
    )


def exact(h: Hyperparameters, theta: torch.Tensor) -> bool:
    """Whether the matrix is to be built."""
    return bool(h.solver == "exact" or (h.solver == "auto" and theta.shape[1] <= EXACT_UP_TO))


def damped_solve(
    h: Hyperparameters,
    theta: torch.Tensor,
    g: torch.Tensor,
    matrix: Callable[[torch.Tensor], torch.Tensor],
    product: Callable[[torch.Tensor], Product],
) -> tuple[torch.Tensor, list[str]]:
    """``(A + λI)⁻¹ g`` ``[R, P]`` by the solver that ``h`` asks for, and a note a run: where
    negative curvature ended conjugate gradients.

    Args:
        matrix, product: the ways to A at ``theta``.
    """
    if exact(h, theta):
        return symmetric.solve(matrix(theta), g, h.damping).x, [""] * len(theta)
    undamped = product(theta)

    def damped(v: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = undamped(v) + h.damping * v
        return found

    found = conjugate_gradients.solve(damped, g, iterations=h.iterations, tolerance=h.tolerance)
    notes = [
        f"conjugate gradients met a direction of negative curvature at product {taken}; the step goes as far as they had come by then"
        if negative
        else ""
        for negative, taken in zip(found.negative.tolist(), found.iterations.tolist(), strict=True)
    ]
    return found.x, notes


def no_descent(g: torch.Tensor, direction: torch.Tensor) -> list[str]:
    """A note for each run whose step ``−direction`` does not lead downhill; ``direction = A⁻¹g``,
    so the slope is the curvature along it.
    """
    slopes = (g * direction).sum(dim=1)
    uphill = ((slopes <= 0.0) & (g != 0.0).any(dim=1)).tolist()
    return [
        f"the step leads uphill, to first order: the damped curvature along it is negative (gᵀd = {slope:.3g}), and the critical point that it aims at is a "
        "saddle or a maximum"
        if up
        else ""
        for up, slope in zip(uphill, slopes.tolist(), strict=True)
    ]


def outcome(
    theta: torch.Tensor,
    h: Hyperparameters,
    asked: tuple[torch.Tensor, torch.Tensor],
    direction: torch.Tensor,
    notes: list[str] | None = None,
) -> Outcome:
    """The step ``θ ← θ − ε d``; ``asked``: value and gradient at ``theta``."""
    loss, g = asked
    return Outcome(theta - h.lr * direction, {}, loss, g, tuple(notes or ()))


def coefficients(basis: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``basis · v``, ``[R, k]``, for a basis ``[R, k, P]``."""
    found: torch.Tensor = torch.einsum("rkp,rp->rk", basis, v)
    return found
