"""Whether a search ran off to infinity instead of to a critical point.

A function without a minimum, as the cross-entropy of separable classes, has its infimum at infinity.
Its gradient falls below any tolerance on the way there, so that a search "converges" somewhere far
out. The test goes on from the end in the same direction, along the ray from zero, and along the next
step of Newton's method, by up to as far again. Beyond a critical point the gradient grows, whatever
its kind and its distance from the start. On the way to infinity gradient and curvature go on
falling.

Where the gradient is zero to the last bit there is no telling: the function may be flat there.

No threshold depends on the scale of the function or of its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.lazy import torch
from optlab.curvature.landscape import Landscape

_FURTHER = (0.25, 0.5, 1.0)
"""How far to go on, in lengths of the way so far."""
_MUCH_FURTHER = (1.0, 3.0, 10.0, 30.0)
"""The same for a search that has not converged: a minimum may lie as far ahead as it has gone."""
_FALL = 0.5
"""Share of its norm to which the gradient has to fall within another length of the way."""
_AWAY = 1.0
"""Distance from the start, relative to the norm of the start, from which the way has a direction."""


@dataclass(frozen=True)
class Runaway:
    """What shows that a search ran off to infinity.

    Attributes:
        start: norm of the parameters at the start. distance: from there to the end.
        beyond: norm of the parameters at the farthest point that was tested.
        gradient_norms: at the end and there.
        curvatures: along the way, at the end and there.
        values: of the function at the end and at the farthest point.
    """

    start: float
    distance: float
    beyond: float
    gradient_norms: tuple[float, float]
    curvatures: tuple[float, float]
    values: tuple[float, float]

    @property
    def sentence(self) -> str:
        """The evidence as a sentence."""
        return (
            f"the search runs off to infinity: from parameters of norm {self.start:.4g} it went "
            f"{self.distance:.4g} away, and beyond it, up to a norm of {self.beyond:.4g}, the "
            f"gradient's norm still falls, from {self.gradient_norms[0]:.3g} to {self.gradient_norms[1]:.3g}, "
            f"the curvature along the way from {self.curvatures[0]:.3g} to "
            f"{self.curvatures[1]:.3g}, and the objective goes from {self.values[0]:.4g} to "
            f"{self.values[1]:.4g}; there is no critical point, only a limit"
        )


def runaway(
    landscape: Landscape,
    start: torch.Tensor,
    end: torch.Tensor,
    next_step: torch.Tensor,
    *,
    converged: bool = True,
) -> Runaway | None:
    """Return what shows that the way from ``start`` to ``end`` leads to infinity, or None.

    Args:
        landscape: the function. start, end: ``[1, P]``. next_step: that of Newton's method at the
            end, ``[1, P]``; its length does not matter.
        converged: whether the gradient at the end counts as zero. Otherwise more is asked for, and
            only of the way that the search has gone.
    """
    norm, distance = float(start.norm()), float((end - start).norm())
    if not converged and not distance > _AWAY * max(norm, 1.0):
        return None
    ways = [end] if converged else []
    if converged and float(next_step.norm()) > 0.0:
        ways.append(next_step * (max(float(end.norm()), distance) / next_step.norm()))
    if distance > _AWAY * norm:
        ways.insert(0, end - start)
    for way in ways:
        if not float(way.norm()) > 0.0:
            continue
        further = [end + share * way for share in (_FURTHER if converged else _MUCH_FURTHER)]
        results = [landscape.value_and_gradient(point) for point in (end, *further)]
        values = [float(value) for value, _ in results]
        norms = [float(gradient.norm()) for _, gradient in results]
        falls = all(after <= before for before, after in zip(norms, norms[1:], strict=False))
        if not (falls and norms[-1] < _FALL * norms[0]) or not _monotone(values):
            continue
        if not converged and values[-1] > values[0]:
            # The way may have led past a minimum, far from which a gradient falls, too.
            continue
        direction = way / way.norm()
        curvatures = [
            abs(float(landscape.hessian(point).along(direction))) for point in (end, further[-1])
        ]
        if curvatures[1] < curvatures[0]:
            return Runaway(
                norm,
                distance,
                float(further[-1].norm()),
                (norms[0], norms[-1]),
                (curvatures[0], curvatures[1]),
                (values[0], values[-1]),
            )
    return None


def _monotone(values: list[float]) -> bool:
    steps = [after - before for before, after in zip(values, values[1:], strict=False)]
    return all(step <= 0.0 for step in steps) or all(step >= 0.0 for step in steps)
