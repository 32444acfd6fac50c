"""Critical points of a surface, their classification, and their basins of attraction.

They are found by Newton's method on ``∇f = 0`` from a grid of starts, which converges to minima,
maxima and saddles alike, in double precision. A point is classified by the signs of the eigenvalues
of its Hessian; it is degenerate if one is negligible compared with the curvature of the surface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.surfaces.base import CriticalKind, Interval, Surface
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.objective.surface_objective import (
    Array,
    axes,
    heights,
    lattice,
    surface_batch_objective,
    tensor,
)
from optlab.studies.surfaces.descent import Contender, Walk

MAX_POINTS = 1000
"""Maximum number of critical points listed; if there are more, they fill a line or the plane."""
_ITERATIONS = 80
_ZERO = 1e-6
"""Share of the curvature of the surface below which an eigenvalue counts as zero."""
_SAME = 1e-5
"""Share of the picture's diagonal within which two results are the same point."""
_QUIET = 20
"""Consecutive steps without movement after which the runs have ended."""
Bend = Literal["convex", "concave", "saddle-shaped", "flat along a direction"]


@dataclass(frozen=True)
class Local:
    """A surface near one point.

    Attributes:
        point, gradient: ``[d]``. value: the height.
        eigenvalues: of the Hessian, ascending, ``[d]``. eigenvectors: ``[d, d]``, in columns.
        bend: shape of the surface by the signs of the eigenvalues, critical or not. index: number
            of negative ones.
        kind: kind of the critical point; None where the gradient is not zero.
    """

    point: Array
    value: float
    gradient: Array
    eigenvalues: Array
    eigenvectors: Array
    bend: Bend
    index: int
    kind: CriticalKind | None

    @property
    def sentence(self) -> str:
        """The classification and its evidence."""
        signs = ", ".join(f"{value:.4g}" for value in self.eigenvalues)
        if self.kind is None:
            return (
                f"not a critical point (slope {np.linalg.norm(self.gradient):.3g}); the surface "
                f"is {self.bend} there (eigenvalues {signs})"
            )
        if self.kind == "kink":
            return "kink: the function has no derivative there"
        described = f"saddle of index {self.index}" if self.kind == "saddle" else self.kind
        return f"{described} (eigenvalues {signs})"


@dataclass(frozen=True)
class CriticalPoints:
    """The critical points of a part of a surface, lowest first.

    ``complete`` is False if there are more than are listed.
    """

    points: tuple[Local, ...]
    complete: bool


@dataclass(frozen=True)
class Basins:
    """The end of a run from each start of a grid, and its number of steps.

    Images are ``[n]`` for one variable and ``[n, n]`` (row is y, column is x) for two.

    Attributes:
        axes: coordinates along each variable. targets: the critical points that runs ended at,
            lowest first.
        ends: final position of each run, ``[…, d]``; NaN where the surface has no value.
        owner: index in ``targets``; :data:`ELSEWHERE` where a run ended at none or descends
            without end, :data:`LOST` where it diverged or could not start.
        steps: steps until a run stayed near its target; -1 where it has none.
    """

    axes: tuple[Array, ...]
    targets: tuple[Local, ...]
    ends: Array
    owner: NDArray[np.int64]
    steps: NDArray[np.int64]


ELSEWHERE, LOST = -1, -2


def local(surface: Surface, point: Sequence[float]) -> Local:
    """Return a description of the surface near a point ``[d]``.

    The point is critical if a Newton step from it is shorter than a millionth of the picture.

    Raises:
        InvalidInput: the surface has no finite value or curvature there.
    """
    described = _described(surface, tensor([point]), _scale(surface))[0]
    if not np.isfinite(described.value) or not np.isfinite(described.eigenvalues).all():
        raise InvalidInput(
            (
                f"{surface.name} has no finite value or curvature at "
                f"({', '.join(f'{x:.4g}' for x in point)})."
            ),
            "point",
        )
    return described


def critical_points(
    surface: Surface, domain: Sequence[Interval] | None = None, count: int | None = None
) -> CriticalPoints:
    """Return all points of a part of the surface where the gradient is zero, and its known kinks.

    Args:
        domain: the part to search; by default the surface's own.
        count: starts along each variable; by default 201 for one and 61 for two. A finer grid
            separates points that lie closer together.
    """
    domain = tuple(domain or surface.domain())
    low, high = (tensor([interval[end] for interval in domain]) for end in (0, 1))
    size = high - low
    diagonal = float(size.norm())
    known = [
        point
        for point in surface.known()
        if all(a <= x <= b for x, (a, b) in zip(point.point, domain, strict=True))
    ]
    kinks = [point.point for point in known if point.kind == "kink"]
    at = tensor(lattice(axes(domain, count or (201 if len(domain) == 1 else 61))))
    if known:
        at = torch.cat(
            [
                at,
                tensor([point.point for point in known if point.kind != "kink"]).view(
                    -1, len(domain)
                ),
            ]
        )
    scale = _scale(surface, domain)
    arrived: list[torch.Tensor] = []
    for _ in range(_ITERATIONS):
        if len(at) == 0:
            break
        step, solved = _newton_step(surface, at)
        length = step.norm(dim=1, keepdim=True)
        done = solved & (length.squeeze(1) <= 1e-9 * diagonal)
        arrived.append((at + step)[done])
        # Steps longer than a quarter of the picture come from a curvature of nearly zero; their
        # direction is still useful.
        at = at + step * (0.25 * diagonal / length.clamp(min=1e-300)).clamp(max=1.0)
        at = at[~done & ((at >= low - size) & (at <= high + size)).all(dim=1)]
    ends = torch.cat(arrived)
    found = _distinct(
        ends[((ends >= low - 1e-6 * size) & (ends <= high + 1e-6 * size)).all(dim=1)].numpy(),
        _SAME * diagonal,
    )
    found = [
        point
        for point in found
        if not any(np.linalg.norm(point - kink) <= 1e-3 * diagonal for kink in kinks)
    ]
    described = (
        _described(surface, tensor(np.array(found).reshape(-1, len(domain))), scale, critical=True)
        if found
        else []
    )
    described += [_kink(surface, kink) for kink in kinks]
    return CriticalPoints(
        tuple(sorted(described, key=lambda one: one.value)[:MAX_POINTS]),
        len(described) <= MAX_POINTS,
    )


def basins(
    surface: Surface,
    optimizer: Optimizer,
    schedule: Schedule | None = None,
    clipping: Clipping | None = None,
    *,
    steps: int = 300,
    count: int = 41,
    domain: Sequence[Interval] | None = None,
    going: Callable[[int], bool] = lambda step: True,
) -> Basins:
    """Run one method from every point of a grid at once, and return where each run ends.

    Args:
        count: starts along each variable. domain: where they lie; by default the surface's own.
        going: called with the number of steps taken before each step; False ends the runs.

    Raises:
        InvalidInput: see :func:`optlab.studies.surfaces.descent.check`; or the surface has no
            finite value at any start.
    """
    domain = tuple(domain or surface.domain())
    along = axes(domain, count)
    starts = lattice(along)
    usable = np.flatnonzero(np.isfinite(heights(surface, starts)))
    if len(usable) == 0:
        raise InvalidInput(
            f"{surface.name} has no finite value anywhere in this part; choose another part.",
            "surface",
        )
    targets = critical_points(surface).points
    places = tensor(np.array([target.point for target in targets]).reshape(-1, len(domain)))
    near = 0.01 * float(np.linalg.norm([high - low for low, high in domain]))
    parts = {
        name: part
        for name, part in (("schedule", schedule), ("clipping", clipping))
        if part is not None
    }
    walk = Walk(
        surface,
        [Contender(optimizer, tuple(start), **parts) for start in starts[usable].tolist()],  # type: ignore[arg-type]
    )
    owner, since = _owner(walk.theta, places, near), torch.zeros(len(usable), dtype=torch.int64)
    quiet = 0
    while walk.step < steps and quiet < _QUIET and bool(walk.walking.any()) and going(walk.step):
        before = walk.theta
        walk.advance()
        quiet = quiet + 1 if float((walk.theta - before).abs().max()) <= 1e-12 * near else 0
        now = _owner(walk.theta, places, near)
        since = torch.where(now == owner, since, walk.step)
        owner = now
    lost = [run for run in walk.reasons if run not in walk.escaped]
    owner[lost] = LOST
    since[owner < 0] = -1
    ends = np.full(starts.shape, np.nan)
    owners = np.full(len(starts), LOST, dtype=np.int64)
    counts = np.full(len(starts), -1, dtype=np.int64)
    ends[usable], owners[usable], counts[usable] = walk.theta.numpy(), owner.numpy(), since.numpy()
    met = sorted({int(index) for index in owners if index >= 0})
    renamed = np.array(
        [met.index(index) if index >= 0 else index for index in owners.tolist()], dtype=np.int64
    )
    shape = (count,) * len(along)
    return Basins(
        along,
        tuple(targets[index] for index in met),
        ends.reshape(*shape, -1),
        renamed.reshape(shape),
        counts.reshape(shape),
    )


def _owner(at: torch.Tensor, places: torch.Tensor, near: float) -> torch.Tensor:
    """Return which of ``places`` ``[T, d]`` each point ``[R, d]`` is near, or :data:`ELSEWHERE`."""
    if len(places) == 0:
        return torch.full((len(at),), ELSEWHERE)
    distance, index = torch.cdist(at, places).min(dim=1)
    return torch.where(distance <= near, index, ELSEWHERE)


def _newton_step(surface: Surface, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the steps ``−H⁻¹∇f`` ``[R, d]``, and where they solve ``H s = −∇f``, ``[R]``.

    Where there is no finite Hessian the step is zero and solves nothing.
    """
    batch_objective = surface_batch_objective(surface, at)
    _, gradient = batch_objective.gradient(at)
    hessian = batch_objective.hessian(at)
    finite = torch.isfinite(hessian).flatten(1).all(dim=1) & torch.isfinite(gradient).all(dim=1)
    hessian = torch.where(finite.view(-1, 1, 1), hessian, 0.0)
    gradient = torch.where(finite.unsqueeze(1), gradient, 0.0)
    step = -(
        torch.linalg.pinv(hessian, rtol=1e-13, hermitian=True) @ gradient.unsqueeze(2)
    ).squeeze(2)
    left = ((hessian @ step.unsqueeze(2)).squeeze(2) + gradient).norm(dim=1)
    return step, finite & (left <= 1e-3 * gradient.norm(dim=1))


def _scale(surface: Surface, domain: Sequence[Interval] | None = None) -> float:
    """Return the curvature of the surface: the median norm of the Hessian over a coarse grid."""
    at = tensor(lattice(axes(domain or surface.domain(), 9)))
    hessian = surface_batch_objective(surface, at).hessian(at).flatten(1).norm(dim=1)
    finite = hessian[torch.isfinite(hessian)]
    return float(finite.median()) if len(finite) else 0.0


def _described(
    surface: Surface, at: torch.Tensor, scale: float, critical: bool = False
) -> list[Local]:
    """Return descriptions of the surface near points ``[R, d]``.

    ``critical``: whether the points are known to be critical.
    """
    batch_objective = surface_batch_objective(surface, at)
    values, gradients = batch_objective.gradient(at)
    hessians = batch_objective.hessian(at)
    finite = torch.isfinite(hessians).flatten(1).all(dim=1)
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.where(finite.view(-1, 1, 1), hessians, 0.0))
    eigenvalues = torch.where(finite.unsqueeze(1), eigenvalues, float("nan"))
    step, solved = _newton_step(surface, at)
    diagonal = float(np.linalg.norm([high - low for low, high in surface.domain()]))
    zero_slope = solved & (step.norm(dim=1) <= 1e-6 * diagonal)
    found: list[Local] = []
    for row in range(len(at)):
        cut = _ZERO * max(scale, float(eigenvalues[row].abs().max()))
        signs = [
            0 if abs(value) <= cut else 1 if value > 0 else -1
            for value in eigenvalues[row].tolist()
        ]
        bend, kind = _names(signs)
        found.append(
            Local(
                point=at[row].numpy(),
                value=float(values[row]),
                gradient=gradients[row].numpy(),
                eigenvalues=eigenvalues[row].numpy(),
                eigenvectors=eigenvectors[row].numpy(),
                bend=bend,
                index=signs.count(-1),
                kind=kind if critical or bool(zero_slope[row]) else None,
            )
        )
    return found


def _names(signs: Sequence[int]) -> tuple[Bend, CriticalKind]:
    """Return the shape of the surface and the kind of critical point for signs of eigenvalues."""
    if 1 in signs and -1 in signs:
        return "saddle-shaped", "saddle"
    if 0 in signs:
        return "flat along a direction", "degenerate"
    return ("convex", "minimum") if 1 in signs else ("concave", "maximum")


def _kink(surface: Surface, point: Sequence[float]) -> Local:
    """Return the description of a point without a derivative, as declared by the surface."""
    size = len(point)
    height = float(heights(surface, [point])[0])
    return Local(
        np.array(point),
        height,
        np.zeros(size),
        np.full(size, np.nan),
        np.eye(size),
        "flat along a direction",
        0,
        "kink",
    )


def _distinct(points: Array, apart: float) -> list[Array]:
    """Return one point of each cluster of points ``[n, d]``."""
    found: list[Array] = []
    kept = np.empty((0, points.shape[1] if points.ndim == 2 else 1))
    for point in points:
        if len(kept) == 0 or np.linalg.norm(kept - point, axis=1).min() > apart:
            found.append(point)
            kept = np.array(found)
            if len(found) > MAX_POINTS:
                break
    return found
