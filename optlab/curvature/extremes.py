"""Eigenvalues at the ends of a spectrum, by Lanczos iterations for R matrices at once.

Reorthogonalization is full, so no ghost of a converged eigenvalue appears. When the basis is full,
the iteration restarts from the best Ritz vectors (K. Wu, H. Simon, *Thick-restart Lanczos*, 2000),
so memory stays bounded. Each run's result is that of the moment at which it converged: a run gets
among others the result that it would get alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.core.lazy import torch
from optlab.curvature.krylov_basis import KrylovBasis
from optlab.numerics.conjugate_gradients import Product
from optlab.objective.seeding import generator

Settle = Literal["vector", "value"]
"""Convergence criterion: the residual of the vector, or the error of the value.

The latter is of the order of the residual's square.
"""

_BASIS_VALUES = 32_000_000
"""Numbers that the basis may hold (128 MB in float32)."""
_MAX_BASIS = 160
_FIRST_ROWS = 8
"""Rows for which the small matrix has memory at first: most warm searches need no more."""
_MIN_PRODUCTS = 4
"""Products before convergence is accepted: one direction alone is always an eigenvector of itself.
"""
_MOST_PER_PRODUCT = 100.0
"""Factor by which one product reduces errors at most, but for rare cases."""
_EXTRA_PRODUCTS = 6
"""Products for which values are observed after they have settled, from a random start.

A warm start has a component along everything that is requested.
"""
_TINY = float(np.finfo(float).tiny)
_RANDOM_SHARE = 0.02
"""Share of a random vector in a warm start.

An earlier eigenvector alone would never find one that has overtaken it.
"""


@dataclass(frozen=True)
class Extremes:
    """Eigenpairs at the ends of the spectrum of each run.

    Attributes:
        top: the largest eigenvalues ``[R, k]``, descending; top_vectors: ``[R, k, P]``, of unit
            length.
        bottom: the smallest ``[R, l]``, ascending; bottom_vectors: ``[R, l, P]``.
        residuals: the largest ``‖Hv − λv‖`` of a run's pairs, ``[R]``, relative to the largest
            absolute Ritz value.
        products: Hessian products that each run's result took, ``[R]``. converged: ``[R]`` bool.
    """

    top: torch.Tensor
    top_vectors: torch.Tensor
    bottom: torch.Tensor
    bottom_vectors: torch.Tensor
    residuals: torch.Tensor
    products: torch.Tensor
    converged: torch.Tensor


def extremes(
    product: Product,
    like: torch.Tensor,
    *,
    top: int = 1,
    bottom: int = 0,
    start: torch.Tensor | None = None,
    tolerance: float = 1e-5,
    settle: Settle = "vector",
    max_products: int = 1000,
    seed: int = 0,
) -> Extremes:
    """Return the ``top`` largest and ``bottom`` smallest eigenvalues, with their vectors.

    A single start finds a multiple eigenvalue once for each direction that rounding or a breakdown
    introduces: it may report fewer copies of equal values than there are.

    Args:
        product: ``v [R, P]`` → ``H v``. like: ``[R, P]``, for size, device and precision.
        start: unit vectors of an earlier result, ``[R, P]`` or ``[R, k, P]``, for a warm start;
            random by default.
        tolerance: largest residual (``settle="vector"``) or error of the value (``"value"``),
            relative to the largest absolute eigenvalue.
        max_products: maximum number of products. seed: of the random start.
    """
    parameters = like.shape[1]
    top, bottom = min(top, parameters), min(bottom, parameters)
    return _Search(
        product, like, top, bottom, tolerance, settle, min(max_products, 50 * parameters), seed
    ).run(start)


class _Search:
    def __init__(
        self,
        product: Product,
        like: torch.Tensor,
        top: int,
        bottom: int,
        tolerance: float,
        settle: Settle,
        max_products: int,
        seed: int,
    ) -> None:
        self.product, self.like, self.top, self.bottom = product, like, top, bottom
        self.tolerance, self.settle, self.max_products = tolerance, settle, max_products
        self.runs, self.parameters = like.shape
        wanted = top + bottom
        room = min(_MAX_BASIS, _BASIS_VALUES // max(1, self.runs * self.parameters))
        self.size = min(self.parameters, max(2 * wanted + 12, room))
        self.basis = KrylovBasis.empty(like, self.size)
        rows = min(self.size, _FIRST_ROWS)
        # Its lower triangle: nothing reads the other.
        self.matrix = np.zeros((self.runs, rows, rows))
        self.scale = np.full(self.runs, _TINY)
        self.draws = _draws(seed, like)
        self.exhaustion = 100.0 * float(torch.finfo(like.dtype).eps)
        self.warm, self.next_check = False, _MIN_PRODUCTS
        self.not_before = [0] * self.runs
        self.finite: NDArray[np.bool_] | None = None
        self.settled: list[tuple[int, NDArray[Any]] | None] = [None] * self.runs
        self.results: list[tuple[Any, ...] | None] = [None] * self.runs

    def run(self, start: torch.Tensor | None) -> Extremes:
        v = self.basis.row(0)
        if start is None:
            v.copy_(next(self.draws))
        else:
            last = (
                start
                if start.dim() == 2
                else start[:, 0]
                if start.shape[1] == 1
                else start.sum(dim=1)
            ).to(self.like)
            mixed = torch.add(last, next(self.draws), alpha=_RANDOM_SHARE)
            torch.div(mixed, _norm(mixed), out=v)
            self.warm = True
        dimension = products = 0
        while True:
            w = self.product(v)
            products += 1
            dimension += 1
            w, beta = self._orthogonalized(w, dimension)
            exhausted = beta <= self.exhaustion * self.scale
            any_exhausted = True in exhausted.tolist()
            full = dimension == self.size
            last_one = products >= self.max_products or dimension == self.parameters
            if full or last_one or any_exhausted or self._checks_at(dimension):
                values, vectors = self._ritz(dimension)
                self._check(values, vectors, beta, exhausted, products, last_one)
                if last_one or None not in self.results:
                    break
                if full:
                    dimension = self._restart(values, vectors, dimension)
            v = self.basis.append(dimension)
            if any_exhausted:
                ended = torch.as_tensor(exhausted, device=w.device).unsqueeze(1)
                v.copy_(self._renewed(torch.where(ended, w, v), ended, dimension))
        self.basis.keep()
        return self._gathered()

    def _checks_at(self, dimension: int) -> bool:
        """Return whether convergence is judged in a space of this dimension.

        From a warm start at every one at which it may be reached: there a product that is not
        needed weighs more than judging.
        """
        return dimension >= self.next_check and (self.warm or dimension % 2 == 0)

    def _orthogonalized(
        self, w: torch.Tensor, dimension: int
    ) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Return ``w`` without its part in the basis, ``[R, P]``, and its length ``[R]``.

        That part becomes a row of the small matrix.
        """
        part, beta, w = self.basis.orthogonalize(w, dimension)
        have = self.matrix.shape[1]
        if dimension > have:
            more = min(self.size, 2 * have) - have
            self.matrix = np.pad(self.matrix, ((0, 0), (0, more), (0, more)))
        self.matrix[:, dimension - 1, :dimension] = part
        # `reduce` takes half as long as the method `max`.
        np.maximum(self.scale, np.maximum.reduce(np.abs(part), axis=1), out=self.scale)
        return w, beta

    def _ritz(self, dimension: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return Ritz values ``[R, d]`` and vectors ``[R, d, d]``; of zero where not finite."""
        small = self.matrix[:, :dimension, :dimension]
        if not math.isfinite(small.sum()):
            self.finite = np.asarray(np.isfinite(small).all(axis=(1, 2)))
            small = np.where(np.isfinite(small), small, 0.0)
        values, vectors = np.linalg.eigh(small)
        return values, vectors

    def _check(
        self,
        values: NDArray[Any],
        vectors: NDArray[Any],
        beta: NDArray[Any],
        exhausted: NDArray[np.bool_],
        products: int,
        last: bool,
    ) -> None:
        """Keep the results of the runs that have converged, or of all at the last product."""
        dimension = values.shape[1]
        whole = dimension == self.parameters
        wanted = [
            *range(dimension - 1, max(-1, dimension - 1 - self.top), -1),
            *range(min(self.bottom, dimension)),
        ]
        enough = self.top + self.bottom <= dimension or whole
        nearest = math.inf
        # Python's numbers: arrays of so few take ten times as long.
        for run, (ritz, ends, rest, done) in enumerate(
            zip(
                values.tolist(),
                vectors[:, -1].tolist(),
                beta.tolist(),
                exhausted.tolist(),
                strict=True,
            )
        ):
            if self.results[run] is not None:
                continue
            if done and not last and self.not_before[run] == 0:
                # An invariant space: directions outside of it are tried before its values are
                # accepted as the extreme ones.
                self.not_before[run] = products + 3
            scale = max(abs(ritz[0]), abs(ritz[-1]), _TINY)
            residuals = [0.0 if done else rest * abs(ends[index]) / scale for index in wanted]
            errors = (
                residuals
                if self.settle == "vector"
                else _value_errors(residuals, [value / scale for value in ritz], wanted)
            )
            finite = self.finite is None or bool(self.finite[run])
            good = enough and finite and all(error <= self.tolerance for error in errors)
            accepted = whole or (dimension >= _MIN_PRODUCTS and products >= self.not_before[run])
            if good and accepted and not (self.warm or last or whole) and self.settle == "value":
                accepted = self._confirmed(run, values[run, wanted] / scale, products)
            nearest = min(nearest, max(errors, default=0.0))
            if last or (good and accepted):
                self._keep(
                    run,
                    [ritz[index] if finite else math.nan for index in wanted],
                    vectors[run][:, wanted],
                    max(residuals, default=0.0) if finite else math.nan,
                    products,
                    good,
                )

        if self.warm and nearest > _MOST_PER_PRODUCT * self.tolerance:
            self.next_check = dimension + 2

    def _confirmed(self, run: int, values: NDArray[Any], products: int) -> bool:
        """Return whether some more products have left the values unchanged.

        An estimate knows only the directions that are in the space: an eigenvalue along which the
        start has hardly any component comes late.
        """
        before = self.settled[run]
        if before is None or np.abs(values - before[1]).max() > self.tolerance:
            self.settled[run] = (products, values)
            return False
        return products >= before[0] + _EXTRA_PRODUCTS

    def _keep(
        self,
        run: int,
        values: list[float],
        vectors: NDArray[Any],
        residual: float,
        products: int,
        good: bool,
    ) -> None:
        chosen = torch.as_tensor(vectors.T, dtype=self.like.dtype, device=self.like.device)
        self.results[run] = (
            values,
            _unit(chosen @ self.basis.vectors(len(vectors))[:, run]),
            residual,
            products,
            good,
        )

    def _restart(self, values: NDArray[Any], vectors: NDArray[Any], dimension: int) -> int:
        """Keep the Ritz vectors nearest to the requested ends.

        The next direction is the residual that they share.
        """
        spare = (dimension - self.top - self.bottom) // 2
        at_top = self.top + (spare if not self.bottom else spare // 2) if self.top else 0
        at_bottom = self.bottom + (spare if not self.top else spare // 2) if self.bottom else 0
        kept = [*range(at_bottom), *range(dimension - at_top, dimension)]
        rotation = torch.as_tensor(np.ascontiguousarray(vectors[:, :, kept].transpose(0, 2, 1))).to(
            self.like
        )
        rotated = torch.bmm(rotation, self.basis.vectors(dimension).transpose(0, 1))
        self.basis.replace(rotated.transpose(0, 1))
        self.matrix[:] = 0.0
        diagonal = np.arange(len(kept))
        self.matrix[:, diagonal, diagonal] = values[:, kept]
        self.scale = np.maximum(np.abs(values[:, kept]).max(axis=1), _TINY)
        return len(kept)

    def _renewed(self, v: torch.Tensor, exhausted: torch.Tensor, dimension: int) -> torch.Tensor:
        """Return random directions outside of the basis for the runs whose space is exhausted."""
        outside = next(self.draws).expand(self.runs, self.parameters)
        done = self.basis.vectors(dimension)
        for _ in range(2):
            outside = _unit(
                outside
                - torch.einsum("rk,krp->rp", torch.einsum("krp,rp->rk", done, outside), done)
            )
        return torch.where(exhausted, outside, v)

    def _gathered(self) -> Extremes:
        rows = [result for result in self.results if result is not None]
        vectors = torch.stack([row[1] for row in rows])
        # One tensor for both: making a short one takes as long as making a longer one.
        numbers = self.like.new_tensor([[*row[0], row[2]] for row in rows])
        values, residuals = numbers[:, :-1], numbers[:, -1]
        top = min(self.top, values.shape[1])
        return Extremes(
            top=values[:, :top],
            top_vectors=vectors[:, :top],
            bottom=values[:, top:],
            bottom_vectors=vectors[:, top:],
            residuals=residuals,
            products=torch.tensor([row[3] for row in rows]),
            converged=torch.tensor([row[4] for row in rows]),
        )


def _draws(seed: int, like: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield random unit vectors ``[P]``, which every search draws alike; the first are kept.

    They are the same for every run, so that a run among others begins as it would alone.
    """
    parameters = like.shape[1]
    yield _first_draw(seed, parameters, like.dtype, like.device)
    source = generator(seed, "lanczos")
    torch.randn(parameters, generator=source, dtype=torch.float64)
    while True:
        yield _unit(torch.randn(parameters, generator=source, dtype=torch.float64).to(like))


@functools.lru_cache(maxsize=4)
def _first_draw(
    seed: int, parameters: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    # Reading an eigenvalue at every step, drawing would take as long as a product.
    drawn = torch.randn(parameters, generator=generator(seed, "lanczos"), dtype=torch.float64)
    return _unit(drawn.to(device, dtype))


def _value_errors(residuals: list[float], values: list[float], wanted: list[int]) -> list[float]:
    """Return bounds on the errors of the requested Ritz values.

    They are the residual's square over the distance to the next value, where that is smaller than
    the residual.
    """
    errors = []
    for residual, index in zip(residuals, wanted, strict=True):
        gap = min(
            (
                abs(values[index] - values[other])
                for other in (index - 1, index + 1)
                if 0 <= other < len(values)
            ),
            default=0.0,
        )
        errors.append(residual**2 / gap if gap > residual else residual)
    return errors


def _unit(v: torch.Tensor) -> torch.Tensor:
    return v / _norm(v)


def _norm(v: torch.Tensor) -> torch.Tensor:
    """Return the norms ``[…, 1]``, of zero the smallest number that can be divided by."""
    norm: torch.Tensor = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return norm.clamp_min_(torch.finfo(v.dtype).tiny)
