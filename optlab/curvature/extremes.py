"""Eigenvalues at the ends of a spectrum, by Lanczos iterations for R matrices at once.

Reorthogonalization is full, so no ghost of a converged eigenvalue appears. When the basis is full,
the iteration restarts from the best Ritz vectors (K. Wu, H. Simon, *Thick-restart Lanczos*, 2000),
so memory stays bounded. Each run's result is that of the moment at which it converged: a run gets
among others the result that it would get alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product
from optlab.objective.seeding import generator

Settle = Literal["vector", "value"]
"""Convergence criterion: the residual of the vector, or the error of the value.

The latter is of the order of the residual's square.
"""

_BASIS_VALUES = 32_000_000
"""Numbers that the basis may hold (128 MB in float32)."""
_MAX_BASIS = 160
_MIN_PRODUCTS = 4
"""Products before convergence is accepted: one direction alone is always an eigenvector of itself.
"""
_EXTRA_PRODUCTS = 6
"""Products for which values are observed after they have settled, from a random start.

A warm start has a component along everything that is requested.
"""
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
        start: vectors of an earlier result, ``[R, P]`` or ``[R, k, P]``, for a warm start; random
            by default.
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
        self.basis = like.new_zeros(self.runs, min(self.size, 24), self.parameters)
        self.matrix = np.zeros((self.runs, self.size, self.size))
        self.draws = _draws(seed, self.parameters)
        self.epsilon = float(torch.finfo(like.dtype).eps)
        self.extra = _EXTRA_PRODUCTS
        self.not_before = np.zeros(self.runs, dtype=int)
        self.settled: list[tuple[int, NDArray[Any]] | None] = [None] * self.runs
        self.results: list[tuple[Any, ...] | None] = [None] * self.runs

    def run(self, start: torch.Tensor | None) -> Extremes:
        v = self._draw()
        if start is not None:
            warm = start if start.dim() == 2 else start.sum(dim=1)
            v = _unit(_unit(warm.to(self.like)) + _RANDOM_SHARE * v)
            self.extra = 0
        dimension = products = 0
        while True:
            self._put(dimension, v)
            w = self.product(v)
            products += 1
            dimension += 1
            w, length, beta = self._orthogonalized(w, dimension)
            scale = np.abs(self.matrix[:, :dimension, :dimension]).max(axis=(1, 2))
            exhausted = beta <= 100.0 * self.epsilon * np.maximum(scale, np.finfo(float).tiny)
            full = dimension == self.size
            last = products >= self.max_products or dimension == self.parameters
            if (
                full
                or last
                or (dimension % 2 == 0 and dimension >= _MIN_PRODUCTS)
                or exhausted.any()
            ):
                small = self.matrix[:, :dimension, :dimension]
                values, vectors = np.linalg.eigh(
                    small if np.isfinite(small).all() else np.where(np.isfinite(small), small, 0.0)
                )
                self._check(
                    values, vectors, np.where(exhausted, 0.0, beta), exhausted, products, last
                )
                if last or all(result is not None for result in self.results):
                    break
                if full:
                    dimension = self._restart(values, vectors, dimension)
            v = w / length
            if exhausted.any():
                ended = torch.as_tensor(exhausted, device=w.device).unsqueeze(1)
                v = self._renewed(torch.where(ended, w, v), exhausted, dimension)
        return self._gathered()

    def _draw(self) -> torch.Tensor:
        # The same start for every run, so that a run among others begins as it would alone.
        drawn = next(self.draws).to(self.like)
        return _unit(drawn.expand(self.runs, self.parameters))

    def _put(self, index: int, v: torch.Tensor) -> None:
        if index == self.basis.shape[1]:
            more = min(self.size, 2 * index) - index
            self.basis = torch.cat(
                [self.basis, self.basis.new_zeros(self.runs, more, self.parameters)], dim=1
            )
        self.basis[:, index] = v

    def _orthogonalized(
        self, w: torch.Tensor, dimension: int
    ) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float64]]:
        """Return ``w`` without its part in the basis, and its norm ``[R, 1]`` and ``[R]``.

        That part becomes a column of the small matrix.
        """
        done = self.basis[:, :dimension]
        column = w.unsqueeze(2)
        first = torch.bmm(done, column)
        column = torch.baddbmm(column, done.transpose(1, 2), first, alpha=-1.0)
        # Once leaves rounding errors of the order of the cancellation; twice is enough.
        again = torch.bmm(done, column)
        column = torch.baddbmm(column, done.transpose(1, 2), again, alpha=-1.0)
        w = column.squeeze(2)
        beta = torch.linalg.vector_norm(w, dim=1, keepdim=True)
        coefficients = torch.cat([(first + again).squeeze(2), beta], dim=1).double().cpu().numpy()
        self.matrix[:, :dimension, dimension - 1] = coefficients[:, :-1]
        self.matrix[:, dimension - 1, :dimension] = coefficients[:, :-1]
        return w, beta, coefficients[:, -1]

    def _check(
        self,
        values: NDArray[Any],
        vectors: NDArray[Any],
        beta: NDArray[Any],
        exhausted: NDArray[Any],
        products: int,
        last: bool,
    ) -> None:
        dimension = values.shape[1]
        wanted = [
            *range(dimension - 1, max(-1, dimension - 1 - self.top), -1),
            *range(min(self.bottom, dimension)),
        ]
        enough = self.top + self.bottom <= dimension or dimension == self.parameters
        for run in range(self.runs):
            if self.results[run] is not None:
                continue
            if exhausted[run] and not last and self.not_before[run] == 0:
                # An invariant space: directions outside of it are tried before its values are
                # accepted as the extreme ones.
                self.not_before[run] = products + 3
            scale = max(float(np.abs(values[run]).max()), np.finfo(float).tiny)
            residuals = beta[run] * np.abs(vectors[run, -1, wanted]) / scale
            error = (
                residuals
                if self.settle == "vector"
                else _value_errors(residuals, values[run] / scale, wanted)
            )
            good = (
                enough
                and bool((error <= self.tolerance).all())
                and np.isfinite(self.matrix[run, :dimension, :dimension]).all()
            )
            accepted = dimension == self.parameters or (
                dimension >= _MIN_PRODUCTS and products >= self.not_before[run]
            )
            if (
                good
                and accepted
                and self.extra
                and not last
                and dimension < self.parameters
                and self.settle == "value"
            ):
                accepted = self._confirmed(run, values[run, wanted] / scale, products)
            if last or (good and accepted):
                self._keep(
                    run,
                    values[run],
                    vectors[run],
                    wanted,
                    float(residuals.max(initial=0.0)),
                    products,
                    bool(good),
                )

    def _confirmed(self, run: int, values: NDArray[Any], products: int) -> bool:
        """Return whether some more products have left the values unchanged.

        An estimate knows only the directions that are in the space: an eigenvalue along which the
        start has hardly any component comes late.
        """
        before = self.settled[run]
        if before is None or np.abs(values - before[1]).max() > self.tolerance:
            self.settled[run] = (products, values)
            return False
        return products >= before[0] + self.extra

    def _keep(
        self,
        run: int,
        values: NDArray[Any],
        vectors: NDArray[Any],
        wanted: list[int],
        residual: float,
        products: int,
        good: bool,
    ) -> None:
        dimension = len(values)
        if not np.isfinite(self.matrix[run, :dimension, :dimension]).all():
            values, residual, good = np.full_like(values, np.nan), float("nan"), False
        chosen = torch.as_tensor(vectors[:, wanted].T.copy()).to(self.like)
        self.results[run] = (
            values[wanted],
            _unit(chosen @ self.basis[run, :dimension]),
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
        self.basis[:, : len(kept)] = torch.bmm(rotation, self.basis[:, :dimension])
        self.matrix[:] = 0.0
        diagonal = np.arange(len(kept))
        self.matrix[:, diagonal, diagonal] = values[:, kept]
        return len(kept)

    def _renewed(self, v: torch.Tensor, exhausted: NDArray[Any], dimension: int) -> torch.Tensor:
        """Return random directions outside of the basis for the runs whose space is exhausted."""
        outside = self._draw()
        done = self.basis[:, :dimension]
        for _ in range(2):
            outside = _unit(
                outside
                - torch.einsum("rk,rkp->rp", torch.einsum("rkp,rp->rk", done, outside), done)
            )
        return torch.where(torch.as_tensor(exhausted, device=v.device).unsqueeze(1), outside, v)

    def _gathered(self) -> Extremes:
        rows = [result for result in self.results if result is not None]
        values = torch.as_tensor(np.stack([row[0] for row in rows])).to(self.like)
        vectors = torch.stack([row[1] for row in rows])
        top = min(self.top, values.shape[1])
        return Extremes(
            top=values[:, :top],
            top_vectors=vectors[:, :top],
            bottom=values[:, top:],
            bottom_vectors=vectors[:, top:],
            residuals=torch.tensor([row[2] for row in rows]).to(self.like),
            products=torch.tensor([row[3] for row in rows]),
            converged=torch.tensor([row[4] for row in rows]),
        )


def _draws(seed: int, parameters: int) -> Iterator[torch.Tensor]:
    """Yield normal numbers ``[P]``, which every search draws alike; the first are kept."""
    yield _first_draw(seed, parameters)
    source = generator(seed, "lanczos")
    torch.randn(parameters, generator=source, dtype=torch.float64)
    while True:
        yield torch.randn(parameters, generator=source, dtype=torch.float64)


@functools.lru_cache(maxsize=4)
def _first_draw(seed: int, parameters: int) -> torch.Tensor:
    # Reading an eigenvalue at every step, drawing would take as long as a product.
    return torch.randn(parameters, generator=generator(seed, "lanczos"), dtype=torch.float64)


def _value_errors(residuals: NDArray[Any], values: NDArray[Any], wanted: list[int]) -> NDArray[Any]:
    """Return bounds on the errors of Ritz values.

    They are the residual's square over the distance to the next value, where that is smaller than
    the residual.
    """
    errors = residuals.copy()
    for row, index in enumerate(wanted):
        gap = min(
            (
                abs(values[index] - values[other])
                for other in (index - 1, index + 1)
                if 0 <= other < len(values)
            ),
            default=0.0,
        )
        if gap > residuals[row]:
            errors[row] = residuals[row] ** 2 / gap
    return errors


def _unit(v: torch.Tensor) -> torch.Tensor:
    unit: torch.Tensor = v / torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp_min(
        torch.finfo(v.dtype).tiny
    )
    return unit
