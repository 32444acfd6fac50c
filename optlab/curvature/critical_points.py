"""From θ to a critical point, and its name.

A critical point is a zero of the gradient, of whatever kind: it is sought as a minimum of ``½‖g‖²``, where saddles and maxima attract as minima do. Each step
solves ``min ‖g + Hs‖² + μ‖s‖²`` (Levenberg–Marquardt on the equations g = 0), exactly through the eigenvalues for small P and in a Krylov space for large
(MINRES with its basis kept); μ grows until ‖g‖ falls, so the way leads downhill on ``½‖g‖²`` and ends with Newton's quadratic convergence.

The naming rule: an eigenvalue counts as zero where its absolute value is at most a share of the largest one's (1e-6 in double precision, 1e-4 in single). Then

* all positive: minimum; all negative: maximum; both signs: saddle, whose index is the number of negative ones, whatever else is zero;
* some zero, the others of one sign: degenerate, as the second derivatives do not decide;
* all so small that the gradient's rounding could have made them: flat.

Of a large network only the ends of the spectrum are looked at: both signs make a saddle, of an index not known; one sign makes no more than that end's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from optlab.curvature.extremes import extremes
from optlab.curvature.hessian import Hessian
from optlab.curvature.landscape import Landscape
from optlab.curvature.spectrum import DENSE_UP_TO, zero_share
from optlab.lazy import torch as _torch
from optlab.numerics.lanczos import lanczos

if TYPE_CHECKING:
    import torch

Kind = Literal["minimum", "maximum", "saddle", "degenerate", "flat"]

_EXACT_UP_TO = 500
"""P up to which a step of the finder takes all eigenvalues."""
_KRYLOV = 60
"""Dimensions of the space in which a step is sought where P is large."""
_ENDS = 8
"""Eigenvalues that are looked at on either end where P is large."""
_MOST_DAMPING = 1e12
_SLOW = 0.8
"""Share of the gradient's norm that a step may leave before full Newton steps are tried."""
_LEAP = 6
"""How many of them."""
_STALLED = 30
"""Steps in which the gradient's norm has to be halved at least."""


@dataclass(frozen=True)
class Verdict:
    """What a point is, by the eigenvalues of its Hessian.

    Attributes:
        kind: its name, as if the gradient were zero there. critical: whether the gradient is.
        index: number of negative eigenvalues; at least so many where the spectrum is not whole. zeros: how many count as zero.
        eigenvalues: rising, ``[P]``, or where P is large those of both ends. eigenvectors: ``[k, P]``, in the same order.
        whole: whether they are all there are.
        threshold: absolute value up to which an eigenvalue counts as zero.
        value: of the function. gradient_norm: there.
    """

    kind: Kind
    critical: bool
    index: int
    zeros: int
    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    whole: bool
    threshold: float
    value: float
    gradient_norm: float

    @property
    def sentence(self) -> str:
        """The name in words."""
        least = "" if self.whole else "at least "
        words = {
            "minimum": "a minimum: every eigenvalue is positive" if self.whole else "a minimum as far as both ends of the spectrum tell",
            "maximum": "a maximum: every eigenvalue is negative" if self.whole else "a maximum as far as both ends of the spectrum tell",
            "saddle": f"a saddle of index {least}{self.index}: {least}{self.index} of the eigenvalues are negative, others positive",
            "degenerate": f"degenerate: {least}{self.zeros} of the eigenvalues are zero and the others {'negative' if self.index else 'positive'}, so "
            "second derivatives do not decide",
            "flat": "flat: all eigenvalues are zero",
        }[self.kind]
        return words if self.critical else f"not critical (the gradient's norm is {self.gradient_norm:.3g}); by its eigenvalues it is like {words}"


@dataclass(frozen=True)
class Found:
    """Where the finder ended.

    Attributes:
        theta: ``[1, P]``. gradient_norm: there. converged: whether it is within the tolerance.
        steps: steps taken. products: Hessian products taken. distance: from the start. path: the points, ``[steps + 1, P]``, or start and end where P is large.
        norms: gradient norm at each step, ``[steps + 1]``.
        problem: why it did not converge, in words; "".
    """

    theta: torch.Tensor
    gradient_norm: float
    converged: bool
    steps: int
    products: int
    distance: float
    path: torch.Tensor
    norms: torch.Tensor
    problem: str


def find(
    landscape: Landscape, theta: torch.Tensor, *, tolerance: float | None = None, steps: int = 200, least: float = 0.0
) -> Found:
    """Go from ``theta`` ``[1, P]`` to a critical point near it.

    Args:
        tolerance: norm of the gradient, relative to 1 + |value|, that counts as zero; by default 1e-8 in double precision and 1e-5 in single.
        steps: most steps. least: smallest damping μ, relative to the largest eigenvalue's square; more keeps the way closer to where it began.
    """
    enough = _tolerance(theta) if tolerance is None else tolerance
    start = theta.detach()
    at = _At(landscape, start)
    damping, products, problem = 1e-3, 0, ""
    keeps = theta.shape[1] <= DENSE_UP_TO
    path, norms = [start], [at.norm]
    while not at.norm <= enough * (1.0 + abs(at.value)):
        if len(norms) > steps:
            problem = f"the gradient's norm is still {at.norm:.3g} after {steps} steps"
            break
        if not at.norm < float("inf"):
            problem = "the gradient is not finite"
            break
        if len(norms) > _STALLED and at.norm > 0.5 * norms[-1 - _STALLED]:
            problem = (
                f"the gradient's norm stays near {at.norm:.3g} for {_STALLED} steps: a minimum of it that is no zero, or one where units switch on and off, "
                "as ReLU's do, and it jumps"
            )
            break
        here = landscape.hessian(at.theta)
        model = _model(here, at.g)
        products += here.products
        after, damping = _downhill(landscape, at, model, damping, least)
        if len(norms) > 1 and (after is None or after.norm > _SLOW * at.norm):
            # In a bent valley of ‖g‖ it has to rise before it can fall.
            ahead, spent = _leap(landscape, at, model)
            products += spent
            after = after if ahead is None else ahead
        if after is None:
            problem = f"no step makes the gradient smaller than {at.norm:.3g}: a minimum of its norm that is not a zero, or the limit of the precision"
            break
        at = after
        norms.append(at.norm)
        if keeps:
            path.append(at.theta)
    theta, norm, taken = at.theta, at.norm, len(norms) - 1
    if not keeps:
        path.append(theta)
    return Found(
        theta,
        norm,
        not problem,
        taken,
        products,
        float(_torch.linalg.vector_norm(theta - start)),
        _torch.cat(path),
        _torch.tensor(norms, dtype=_torch.float64),
        problem,
    )


class _At:
    """Value and gradient at a point."""

    def __init__(self, landscape: Landscape, theta: torch.Tensor) -> None:
        self.theta = theta
        value, self.g = landscape.value_and_gradient(theta)
        self.value = float(value)
        self.norm = float(_torch.linalg.vector_norm(self.g))


def _downhill(landscape: Landscape, at: _At, model: _Model, damping: float, least: float) -> tuple[_At | None, float]:
    """The first point, with more and more damping, where the gradient is smaller about as predicted; None where there is none. And the damping from there."""
    while damping <= _MOST_DAMPING:
        s, predicted = model.step(max(damping, least))
        after = _At(landscape, at.theta + s)
        expected = at.norm**2 - predicted**2
        gain = (at.norm**2 - after.norm**2) / expected if expected > 0.0 else -1.0
        if after.norm < at.norm and gain > 1e-4:
            return after, max(damping * (0.1 if gain > 0.75 else 1.0 if gain > 0.25 else 3.0), 1e-14)
        damping *= 4.0
    return None, 1.0


def _leap(landscape: Landscape, at: _At, model: _Model) -> tuple[_At | None, int]:
    """Where a few full Newton steps lead, if the gradient is half as large there; else None. And the products that they took."""
    here, products = at, 0
    for _ in range(_LEAP):
        here = _At(landscape, here.theta + model.step(0.0)[0])
        if not here.norm < 1e5 * max(at.norm, 1.0):
            return None, products
        if here.norm <= 0.5 * at.norm:
            return here, products
        hessian = landscape.hessian(here.theta)
        model = _model(hessian, here.g)
        products += hessian.products
    return None, products


def name(landscape: Landscape, theta: torch.Tensor, *, tolerance: float | None = None, zero: float | None = None) -> Verdict:
    """Name the point ``theta`` ``[1, P]`` by the eigenvalues of its Hessian, by the rule in this module's docstring.

    Args:
        tolerance: as for :func:`find`. zero: share of the largest absolute eigenvalue up to which one counts as zero.
    """
    value, g = landscape.value_and_gradient(theta)
    norm = float(_torch.linalg.vector_norm(g))
    allowed = (_tolerance(theta) if tolerance is None else tolerance) * (1.0 + abs(float(value)))
    here = landscape.hessian(theta)
    parameters = theta.shape[1]
    whole = parameters <= DENSE_UP_TO
    if whole:
        values, columns = _torch.linalg.eigh(here.dense()[0])
        vectors = columns.T
    else:
        ends = extremes(here.product, theta, top=_ENDS, bottom=_ENDS, tolerance=1e-4)
        values = _torch.cat([ends.bottom[0], ends.top[0].flip(0)])
        vectors = _torch.cat([ends.bottom_vectors[0], ends.top_vectors[0].flip(0)])
    largest = float(values.abs().max())
    rounding = 64.0 * float(_torch.finfo(theta.dtype).eps) * (1.0 + abs(float(value)))
    threshold = max((zero_share(theta.dtype) if zero is None else zero) * largest, rounding)
    negative, zeros = int((values < -threshold).sum()), int((values.abs() <= threshold).sum())
    positive = len(values) - negative - zeros
    kind: Kind
    if negative and positive:
        kind = "saddle"
    elif zeros == len(values):
        kind = "flat"
    elif zeros:
        kind = "degenerate"
    else:
        kind = "maximum" if negative else "minimum"
    return Verdict(kind, norm <= allowed, negative, zeros, values, vectors, whole, threshold, float(value), norm)


class _Model:
    """``min ‖g + Hs‖² + μ‖s‖²`` for one point, ready for any μ.

    In an orthonormal basis ``[k, P]`` of the steps it is ``min ‖c + Ay‖² + μ‖y‖²``.
    """

    def __init__(self, basis: torch.Tensor, matrix: torch.Tensor, c: torch.Tensor) -> None:
        self._basis = basis
        u, self._singular, v = _torch.linalg.svd(matrix, full_matrices=False)
        self._right = v.T
        self._c = u.T @ c
        # What lies outside of A's image no step can take away.
        self._beyond = float((c @ c - self._c @ self._c).clamp_min(0.0))

    def step(self, damping: float) -> tuple[torch.Tensor, float]:
        """The step ``[1, P]`` for μ = damping · (largest singular value)², and the norm of ``g + Hs``."""
        scale = float(self._singular.max()) if len(self._singular) else 0.0
        mu = damping * scale**2
        size = self._singular.square() + mu
        factor = _torch.where(size > 0.0, self._singular / size.clamp_min(_torch.finfo(size.dtype).tiny), 0.0)
        left = self._c * (1.0 - factor * self._singular)
        y = -(self._right @ (factor * self._c))
        return (y @ self._basis).unsqueeze(0), float(left @ left + self._beyond) ** 0.5


def _model(here: Hessian, g: torch.Tensor) -> _Model:
    if g.shape[1] <= _EXACT_UP_TO:
        values, vectors = _torch.linalg.eigh(here.dense()[0])
        return _Model(vectors.T, _torch.diag(values), vectors.T @ g[0])
    krylov = lanczos(here.product, g, _KRYLOV + 1)
    size = int(krylov.sizes[0])
    # The last vector of the space is needed for what H makes of the one before it; where the space is invariant there is no such vector.
    inside = size if size <= _KRYLOV else size - 1
    c = _torch.zeros(size, dtype=g.dtype, device=g.device)
    c[0] = _torch.linalg.vector_norm(g)
    return _Model(krylov.basis[0, :inside], krylov.matrix[0, :size, :inside], c)


def _tolerance(theta: torch.Tensor) -> float:
    return 1e-8 if theta.dtype == _torch.float64 else 1e-5
