"""Whether the second derivatives of a model of the user's are those of its gradients.

An operation whose backward pass was written by hand has a gradient that training needs, but its second
derivative may be missing or wrong: autograd then returns Hessian products without an error. Where curvature
is asked of a model of the user's, products are compared once with differences of gradients.
"""

from __future__ import annotations

from optlab.core.errors import RunFailed
from optlab.core.lazy import torch
from optlab.objective.objective import Objective

_EXAMPLES = 128
_DIRECTIONS = 2
_STEPS = (1e-4, 1e-5, 1e-6)
"""Lengths of the differences, as shares of the root mean square of the parameters (at least 1e-2)."""
_TOLERANCE = 1e-2
"""Relative difference that is accepted of the part of a product that belongs to a weight."""


def check(objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> None:
    """Compare Hessian products of a model of the user's with differences of gradients, once.

    A product counts as wrong where it differs for every length of the difference, by more than these
    differ among themselves: a kink of the model, as that of a ReLU, makes only some of them differ.
    Nothing is said of a model whose gradients are not reproducible.

    Args:
        objective: whose model is checked.
        theta: ``[R, P]``; the first run is used.
        x, y: ``[R, m, …]``; the first examples are used.

    Raises:
        RunFailed: they disagree, or an operation has no second derivative.
    """
    checked = objective.curvature_problems
    if not checked and objective.model.own_modules:
        # Noted before the check, which computes products itself.
        checked.append("")
        checked[0] = _problem(objective.selected([0]), theta, x, y)
    if any(checked):
        raise RunFailed(checked[0])


def _problem(objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> str:
    """Return what is wrong, "" if nothing is."""
    # In double precision, in which each model was tried when it was registered.
    one_run = theta[:1].detach(), x[:1, :_EXAMPLES], y[:1, :_EXAMPLES]
    worst = _disagreement(objective, *(t.double() if t.is_floating_point() else t for t in one_run))
    if worst is None:
        return ""
    name, share = worst
    return (
        f"model.name is '{objective.model.name}': its second derivatives are wrong: for the weight "
        f"{name}, a Hessian product differs by {share:.0%} from differences of its gradients; "
        "an operation whose backward pass is written by hand has to be differentiable itself "
        "(torch.autograd.gradgradcheck tells), or use what needs gradients only."
    )


def _disagreement(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[str, float] | None:
    """Return the weight for which a product is farthest off, and by which share; None if none."""
    # Imported here: it uses this module.
    from optlab.objective.hessian import graph_hessian

    gradient = _gradient(objective, theta, x, y)
    again = _gradient(objective, theta, x, y)
    if not torch.allclose(gradient, again, rtol=1e-9, atol=1e-12):
        return None
    hessian = graph_hessian(objective, theta, x, y)
    unit = theta.square().mean().sqrt().clamp_min(1e-2)
    generator = torch.Generator().manual_seed(0)
    worst: tuple[str, float] | None = None
    for _ in range(_DIRECTIONS):
        v = torch.randn(theta.shape, generator=generator, dtype=torch.float64).to(theta)
        product = hessian.product(v)
        differences = [
            (_gradient(objective, theta + h * v, x, y) - _gradient(objective, theta - h * v, x, y))
            / (2.0 * h)
            for h in (float(unit) * share for share in _STEPS)
        ]
        finite = [product, *differences]
        if not all(bool(torch.isfinite(values).all()) for values in finite):
            return None
        # A part that is tiny beside the others is rounding.
        floor = 1e-6 * max(float(values.norm()) for values in finite)
        parts = [objective.layout.split(values) for values in finite]
        for spec, exact, *others in zip(objective.layout.parameters, *parts, strict=True):
            apart = min(float((exact - other).norm()) for other in others)
            spread = max(float((one - two).norm()) for one in others for two in others)
            size = max(float(part.norm()) for part in (exact, *others))
            if apart > _TOLERANCE * size + 2.0 * spread + floor:
                found = (spec.name, apart / size)
                worst = found if worst is None else max(worst, found, key=lambda item: item[1])
    return worst


def _gradient(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    leaf = theta.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.total(leaf, x, y).sum(), leaf)
    return gradient
