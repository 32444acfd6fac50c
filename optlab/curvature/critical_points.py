"""Find a critical point near θ, and classify it.

A critical point is a zero of the gradient, of any kind. The search has two phases; the second
starts where the first stops:

* to the nearest critical point: downhill on ``½‖g‖²``, where saddles and maxima attract as minima
  do. Each step solves ``min ‖g + Hs‖² + μ‖s‖²`` (Levenberg–Marquardt on the equations g = 0); near
  a critical point it is Newton's. It may end in a valley of ``½‖g‖²`` that is no zero, where H maps
  g to zero (C. Frye et al., *Critical point-finding methods reveal gradient-flat regions of deep
  network losses*, 2021);
* then downhill on the function itself, with ``|H|`` in index of H so that saddles repel (Y. Dauphin
  et al., 2014), within a radius in which the quadratic model can be trusted: a function that is
  bounded below has a minimum to find, or an infimum at infinity
  (:mod:`optlab.curvature.runaway`).

For small P the steps are exact, by all eigenvalues; for large P they come from a Krylov space of
the gradient. Second derivatives have to be continuous: those of a ReLU network jump where units
switch on and off, minima lie on the kinks, and Newton's steps jump back and forth across them.

The classification: an eigenvalue counts as zero where its absolute value is at most a share of the
largest one's (1e-6 in double precision, 1e-4 in single). Then

* all positive: minimum; all negative: maximum; both signs: saddle, whose index is the number of
  negative ones, whatever else is zero;
* some zero, the others of one sign: degenerate, as the second derivatives do not decide;
* all so small that the gradient's rounding could have caused them: flat.

Directions in which the function is known to be flat do not count: those of the model's symmetries,
and parameters without effect (:mod:`optlab.curvature.flat_directions`). The eigenvalues are those
of the Hessian on the rest of the space, and the verdict says how many directions were set aside.

Of a large network only the ends of the spectrum are computed: both signs make a saddle of unknown
index; one sign suggests a minimum or maximum but does not prove it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optlab.core.lazy import torch
from optlab.core.limits import EXACT_UP_TO
from optlab.curvature.extremes import extremes
from optlab.curvature.flat_directions import FlatDirections, flat_directions
from optlab.curvature.landscape import Landscape
from optlab.curvature.newton_steps import Equations, SearchProgress, Spectrum
from optlab.curvature.runaway import Runaway
from optlab.curvature.runaway import runaway as shown_runaway
from optlab.curvature.spectrum import DENSE_UP_TO, zero_share
from optlab.numerics.lanczos import lanczos
from optlab.objective.hessian import Hessian
from optlab.objective.seeding import generator

Kind = Literal["minimum", "maximum", "saddle", "degenerate", "flat"]

_KRYLOV = 100
"""Dimensions of the space that contains a step where P is large."""
_ENDS = 8
"""Eigenvalues that are computed at either end where P is large."""
_END_TOLERANCE = 1e-4
_MAX_DAMPING = 1e12
_STALLED = 12
"""Steps in which the first phase has to halve the gradient's norm at least."""
_FIRST_PHASE = 0.6
"""Share of all steps that the first phase may take."""
_MIN_RADIUS = 1e-12
"""Radius, relative to 1 + ‖θ‖, below which second derivatives do not predict the next step."""


@dataclass(frozen=True)
class Verdict:
    """The classification of a point by the eigenvalues of its Hessian.

    Attributes:
        kind: its name, as if the gradient were zero there. critical: whether the gradient is.
        index: number of negative eigenvalues; a lower bound where the spectrum is incomplete.
        zeros: how many count as zero, apart from those of known flat directions.
        flat: known flat directions, by name of their family; they are set aside.
        eigenvalues: of the rest, ascending, ``[P − flat]``, or where P is large those of both ends.
            eigenvectors: ``[k, P]``, in the same order.
        complete: whether these are all eigenvalues.
        threshold: absolute value up to which an eigenvalue counts as zero.
        value: of the function. gradient_norm: at the point.
        runaway: what shows that the search that ended there runs off to infinity.
    """

    kind: Kind
    critical: bool
    index: int
    zeros: int
    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    complete: bool
    threshold: float
    value: float
    gradient_norm: float
    flat: FlatDirections
    runaway: Runaway | None = None

    @property
    def sentence(self) -> str:
        """The classification as a sentence."""
        bound = "" if self.complete else "at least "
        others = "negative" if self.index else "positive"
        partial = "as far as both ends of the spectrum show"
        sentence = {
            "minimum": "a minimum: every eigenvalue is positive"
            if self.complete
            else f"a minimum {partial}",
            "maximum": "a maximum: every eigenvalue is negative"
            if self.complete
            else f"a maximum {partial}",
            "saddle": f"a saddle of index {bound}{self.index}: {bound}{self.index} of the "
            "eigenvalues are negative, others positive",
            "degenerate": f"degenerate: {bound}{self.zeros} of the eigenvalues are zero and the "
            f"others {others}, so second derivatives do not decide",
            "flat": "flat: all eigenvalues are zero",
        }[self.kind] + self.flat.clause
        if self.critical:
            return sentence
        if self.runaway is not None:
            return f"no critical point: {self.runaway.sentence}"
        return (
            f"not critical (the gradient's norm is {self.gradient_norm:.3g}); by its eigenvalues "
            f"it is like {sentence}"
        )


@dataclass(frozen=True)
class CriticalPointResult:
    """The result of a search.

    Attributes:
        theta: ``[1, P]``. gradient_norm: there. converged: whether it is within the tolerance.
        steps: steps taken. products: Hessian products computed. distance: from the start.
        path: the points, ``[steps + 1, P]``, or start and end where P is large.
        norms: gradient norm at each step, ``[steps + 1]``; it may rise temporarily. Without
            convergence the path and the norms end where the norm was smallest.
        problem: why it did not converge, as text; "" where it did.
        runaway: what shows that it ran off to infinity, where the gradient vanishes at no point; it
            then has not converged.
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
    runaway: Runaway | None


def products_of_step(parameters: int) -> int:
    """Return how many Hessian products a step costs, at most.

    Args:
        parameters: their number.
    """
    return parameters if parameters <= EXACT_UP_TO else _KRYLOV


def find(
    landscape: Landscape,
    theta: torch.Tensor,
    *,
    tolerance: float | None = None,
    steps: int = 200,
    min_damping: float = 0.0,
    on_progress: Callable[[SearchProgress], object] = lambda _progress: None,
) -> CriticalPointResult:
    """Search for a critical point near ``theta`` ``[1, P]``.

    Args:
        tolerance: norm of the gradient, relative to 1 + |value|, that counts as zero; by default
            1e-8 in double precision and 1e-5 in single.
        steps: maximum number of steps.
        min_damping: smallest damping μ, relative to the square of the largest eigenvalue; with a
            larger one the path stays closer to its start.
        on_progress: is called after each step.
    """
    enough = _tolerance(theta) if tolerance is None else tolerance
    search = _Search(landscape, theta.detach(), enough, steps, on_progress)
    search.nearest(min_damping)
    if not search.over:
        search.downhill()
    return search.result()


class _At:
    """Value and gradient at a point."""

    def __init__(self, landscape: Landscape, theta: torch.Tensor) -> None:
        self.theta = theta
        value, self.g = landscape.value_and_gradient(theta)
        self.value = float(value)
        self.norm = float(torch.linalg.vector_norm(self.g))


class _Search:
    """The two phases; the second continues from :attr:`at`, where the first ended."""

    def __init__(
        self,
        landscape: Landscape,
        start: torch.Tensor,
        enough: float,
        steps: int,
        on_progress: Callable[[SearchProgress], object],
    ) -> None:
        self._landscape, self._enough, self._steps = landscape, enough, steps
        self._on_progress = on_progress
        self._keeps = start.shape[1] <= DENSE_UP_TO
        self.at = self._best = _At(landscape, start)
        self._first = abs(self.at.value)
        self._path, self._norms = [start], [self.at.norm]
        self._products = self._best_step = 0
        self._problem = ""

    @property
    def converged(self) -> bool:
        """Whether this is a critical point."""
        # Not relative to the value there alone: downhill without end, it outgrows any gradient.
        return self.at.norm <= self._enough * (1.0 + min(abs(self.at.value), self._first))

    @property
    def over(self) -> bool:
        """Whether the search cannot continue."""
        return self.converged or len(self._norms) > self._steps or not self.at.norm < float("inf")

    def nearest(self, min_damping: float) -> None:
        """Go downhill on ``½‖g‖²``."""
        damping = 1e-3
        while (
            not self.over
            and damping <= _MAX_DAMPING
            and len(self._norms) <= max(_STALLED, _FIRST_PHASE * self._steps)
        ):
            if len(self._norms) > _STALLED and self.at.norm > 0.5 * self._norms[-1 - _STALLED]:
                return
            equations = self._equations()
            while damping <= _MAX_DAMPING:
                s, predicted = equations.step(max(damping, min_damping))
                after = _At(self._landscape, self.at.theta + s)
                expected = self.at.norm**2 - predicted**2
                gain = (self.at.norm**2 - after.norm**2) / expected if expected > 0.0 else -1.0
                if after.norm < self.at.norm and gain > 1e-4:
                    self._go(after)
                    damping = max(
                        damping * (0.1 if gain > 0.75 else 1.0 if gain > 0.25 else 3.0), 1e-14
                    )
                    break
                damping *= 4.0

    def downhill(self) -> None:
        """Go downhill to a minimum of the function."""
        radius, spectrum = self._first_radius(), self._spectrum()
        while not self.over and radius > self._min_radius():
            s, coordinates = spectrum.step(radius)
            after = _At(self._landscape, self.at.theta + s)
            expected = -float(
                spectrum.c @ coordinates + 0.5 * (spectrum.values * coordinates.square()).sum()
            )
            gain = (self.at.value - after.value) / expected if expected > 0.0 else -1.0
            # Close to a minimum the value changes by less than its rounding error; there the
            # gradient decides.
            close = (
                abs(after.value - self.at.value) <= 1e-12 * (self._first + abs(self.at.value))
                and after.norm < self.at.norm
            )
            radius = min(radius, float(s.norm())) * (
                3.0 if gain > 0.75 or close else 1.0 if gain > 0.25 else 0.3
            )
            if gain > 1e-4 or close:
                self._go(after)
                spectrum = self._spectrum()
        if not self.over:
            self._problem = (
                f"no further step from where the gradient's norm is {self.at.norm:.3g}: the second "
                "derivatives jump there, as those of a ReLU network do where units switch on and "
                "off, or this is the limit of the precision"
            )

    def result(self) -> CriticalPointResult:
        """Return the result."""
        problem, end, index = self._problem, self.at, len(self._norms) - 1
        products = self._products  # without those of the test below
        if not self.converged:
            problem = problem or (
                f"no zero of the gradient within {index} steps; the smallest norm was "
                f"{self._best.norm:.3g}"
                if self.at.norm < float("inf")
                else "the gradient became non-finite before a zero was found"
            )
            end, index = self._best, self._best_step
        far = self._runaway() if self.at is end else None
        if far is not None:
            problem = far.sentence
        path = self._path[: index + 1] if self._keeps else [self._path[0], end.theta]
        return CriticalPointResult(
            end.theta,
            end.norm,
            not problem,
            index,
            products,
            float(torch.linalg.vector_norm(end.theta - self._path[0])),
            torch.cat(path),
            torch.tensor(self._norms[: index + 1], dtype=torch.float64),
            problem,
            far,
        )

    def _runaway(self) -> Runaway | None:
        start, end = self._path[0], self.at.theta
        radius = max(float((end - start).norm()), float(end.norm()))
        if not radius > 0.0:
            return None
        converged = self.converged
        step = self._spectrum().step(radius)[0] if converged else torch.zeros_like(end)
        return shown_runaway(self._landscape, start, end, step, converged=converged)

    def _go(self, after: _At) -> None:
        self.at = after
        self._norms.append(after.norm)
        if self._keeps:
            self._path.append(after.theta)
        if after.norm < self._best.norm:
            self._best, self._best_step = after, len(self._norms) - 1
        self._on_progress(SearchProgress(len(self._norms) - 1, self._products, after.norm))

    def _first_radius(self) -> float:
        return 0.1 * (1.0 + float(self.at.theta.norm()))

    def _min_radius(self) -> float:
        return _MIN_RADIUS * (1.0 + float(self.at.theta.norm()))

    def _equations(self) -> Equations:
        hessian, g = self._landscape.hessian(self.at.theta), self.at.g
        if g.shape[1] <= EXACT_UP_TO:
            values, vectors = torch.linalg.eigh(hessian.dense()[0])
            equations = Equations(vectors.T, torch.diag(values), vectors.T @ g[0])
        else:
            krylov = lanczos(hessian.product, g, _KRYLOV + 1)
            size = int(krylov.sizes[0])
            # The last vector of the space is needed for H times the one before it; an invariant
            # space has no such vector.
            inside = size if size <= _KRYLOV else size - 1
            c = torch.zeros(size, dtype=g.dtype, device=g.device)
            c[0] = torch.linalg.vector_norm(g)
            equations = Equations(krylov.basis[0, :inside], krylov.matrix[0, :size, :inside], c)
        self._products += hessian.products
        return equations

    def _spectrum(self) -> Spectrum:
        hessian, g = self._landscape.hessian(self.at.theta), self.at.g
        if g.shape[1] <= EXACT_UP_TO:
            values, columns = torch.linalg.eigh(hessian.dense()[0])
            vectors = columns.T
        else:
            krylov = lanczos(hessian.product, g, _KRYLOV)
            size = int(krylov.sizes[0])
            values, columns = torch.linalg.eigh(krylov.matrix[0, :size, :size])
            vectors = columns.T @ krylov.basis[0, :size]
        self._products += hessian.products
        return Spectrum(values, vectors, vectors @ g[0])


def name(
    landscape: Landscape,
    theta: torch.Tensor,
    *,
    tolerance: float | None = None,
    zero: float | None = None,
    runaway: Runaway | None = None,
) -> Verdict:
    """Classify the point ``theta`` ``[1, P]`` by the eigenvalues of its Hessian.

    The rule is in this module's docstring.

    Args:
        tolerance: as for :func:`find`.
        zero: share of the largest absolute eigenvalue up to which one counts as zero.
        runaway: of the search that ended there; the point is then not critical.
    """
    value, g = landscape.value_and_gradient(theta)
    norm = float(torch.linalg.vector_norm(g))
    allowed = (_tolerance(theta) if tolerance is None else tolerance) * (1.0 + abs(float(value)))
    hessian = landscape.hessian(theta)
    parameters = theta.shape[1]
    complete = parameters <= DENSE_UP_TO
    dense = hessian.dense()[0] if complete else None
    share = zero_share(theta.dtype) if zero is None else zero
    flat = flat_directions(landscape, theta, g, hessian, dense, share)
    if dense is not None:
        values, vectors = _apart_from(flat.basis, dense)
    else:
        values, vectors = _both_ends(hessian, flat.basis)
    largest = float(values.abs().max())
    rounding = 64.0 * float(torch.finfo(theta.dtype).eps) * abs(float(value))
    threshold = max(share * largest, rounding)
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
    return Verdict(
        kind,
        norm <= allowed and runaway is None,
        negative,
        zeros,
        values,
        vectors,
        complete,
        threshold,
        float(value),
        norm,
        flat,
        runaway,
    )


def _apart_from(basis: torch.Tensor, dense: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues and eigenvectors of a matrix orthogonal to ``basis`` ``[k, P]``."""
    if not len(basis):
        values, columns = torch.linalg.eigh(dense)
        return values, columns.T
    rest = torch.linalg.qr(basis.T, mode="complete").Q[:, len(basis) :]
    values, columns = torch.linalg.eigh(rest.T @ dense @ rest)
    return values, (rest @ columns).T


def _both_ends(hessian: Hessian, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outermost eigenvalues at either end, ascending, with their vectors.

    Copies of multiple eigenvalues are included. ``flat`` ``[k, P]`` are orthonormal directions that
    are set aside.
    """
    aside = 0.0
    if len(flat):
        # A value within the spectrum of the rest: that of a random direction of it.
        v = torch.randn(hessian.theta.shape, generator=generator(0, "onwards"), dtype=torch.float64)
        v = v.to(hessian.theta)
        v = v - (v @ flat.T) @ flat
        aside = float((v * hessian.product(v)).sum() / v.square().sum())

    def apart(v: torch.Tensor) -> torch.Tensor:
        if not len(flat):
            return hessian.product(v)
        known = (v @ flat.T) @ flat
        product = hessian.product(v - known)
        return product - (product @ flat.T) @ flat + aside * known

    ends = extremes(apart, hessian.theta, top=_ENDS, bottom=_ENDS, tolerance=_END_TOLERANCE)
    values = torch.cat([ends.bottom[0], ends.top[0].flip(0)])
    vectors = torch.cat([ends.bottom_vectors[0], ends.top_vectors[0].flip(0)])
    for again in range(1, 1 + _ENDS):
        # One start sees one direction of those that share an eigenvalue. The others are at the ends
        # of what is left when the known ones are taken out, by giving them a value in the middle.
        known, low, high = vectors, values[_ENDS - 1], values[-_ENDS]
        middle, margin = 0.5 * (low + high), 10.0 * _END_TOLERANCE * values.abs().max()

        def rest(
            v: torch.Tensor, known: torch.Tensor = known, middle: torch.Tensor = middle
        ) -> torch.Tensor:
            inside = (v @ known.T) @ known
            moved = apart(v - inside)
            return moved - (moved @ known.T) @ known + middle * inside

        more = extremes(rest, hessian.theta, top=2, bottom=2, tolerance=_END_TOLERANCE, seed=again)
        below, above = more.bottom[0] < low - margin, more.top[0] > high + margin
        if not (below.any() or above.any()):
            break
        values = torch.cat([values, more.bottom[0, below], more.top[0, above]])
        vectors = torch.linalg.qr(
            torch.cat([vectors, more.bottom_vectors[0, below], more.top_vectors[0, above]]).T
        ).Q.T
        order = values.argsort()
        chosen = torch.cat([order[:_ENDS], order[-_ENDS:]])
        values, vectors = values[chosen], vectors[chosen]
    return values, vectors


def _tolerance(theta: torch.Tensor) -> float:
    return 1e-8 if theta.dtype == torch.float64 else 1e-5
