"""Random trigonometric polynomials on the torus.

Stationary Gaussian fields whose critical points can all be found, counted and predicted.

``f(x) = Σ_k a_k cos(k·x) + b_k sin(k·x)`` with standard normal coefficients and all wave vectors k
of length at most a bound (one of each pair ±k). The distribution is the same at every point of the
torus, and f has a finite number of critical points. For every such f the numbers of critical points
of index i obey two laws: ``Σ_i (−1)^i N_i = 0`` (the Euler characteristic of the torus) and ``N_i ≥
C(n, i)`` (Morse). A count that misses a point breaks the first one.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from optlab.studies.demonstrations.base import Array, numbers

_BATCHES = 40
_QUIET = 2
"""Consecutive batches of starts that must find no new point, with both laws satisfied, before a
count is accepted as complete.
"""
_ITERATIONS = 25
_MAX_STEP = 0.6
_SAME = 1e-4


def waves(n: int, bound: int) -> Array:
    """Return the wave vectors ``[K, n]`` of squared length 1 to ``bound``, one of each pair ±k."""
    largest = math.isqrt(bound)
    vectors = [
        k
        for k in itertools.product(range(-largest, largest + 1), repeat=n)
        if 0 < sum(i * i for i in k) <= bound
    ]
    return numbers([k for k in vectors if k > tuple(-i for i in k)])


class Polynomial:
    """One trigonometric polynomial.

    Args:
        k: wave vectors ``[K, n]``. cosine, sine: coefficients ``[K]``.
    """

    def __init__(self, k: Array, cosine: Array, sine: Array) -> None:
        self._k, self._cosine, self._sine = k, cosine, sine
        self._squares = np.einsum("ki,kj->kij", k, k).reshape(len(k), -1)

    def values(self, x: Array) -> Array:
        """Return ``f`` ``[p]`` at points ``[p, n]``."""
        phase = x @ self._k.T
        return numbers(np.cos(phase) @ self._cosine + np.sin(phase) @ self._sine)

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """Return gradients ``[p, n]`` and Hessians ``[p, n, n]`` at points ``[p, n]``."""
        phase = x @ self._k.T
        c, s = np.cos(phase), np.sin(phase)
        g = (self._sine * c - self._cosine * s) @ self._k
        h = -(self._cosine * c + self._sine * s) @ self._squares
        return g, h.reshape(len(x), x.shape[1], x.shape[1])

    def critical_points(self, rng: np.random.Generator) -> tuple[Array, bool]:
        """Return all critical points ``[q, n]`` in [0, 2π)ⁿ, and whether they satisfy both laws."""
        n = self._k.shape[1]
        found, quiet = np.empty((0, n)), 0
        for _ in range(_BATCHES):
            fresh = self._descended(rng.uniform(0.0, 2.0 * math.pi, (40 * 3 ** (n - 1), n)))
            before = len(found)
            found = _distinct(np.concatenate([found, fresh]))
            quiet = quiet + 1 if len(found) == before else 0
            if quiet >= _QUIET and _lawful(self.kinds(found)):
                return found, True
        return found, _lawful(self.kinds(found))

    def kinds(self, points: Array) -> Array:
        """Count the critical points ``[q, n]`` with 0, 1, …, n negative eigenvalues: ``[n + 1]``."""
        n = points.shape[1]
        negative = (np.linalg.eigvalsh(self.slopes(points)[1]) < 0.0).sum(axis=1)
        return numbers(np.bincount(negative, minlength=n + 1))

    def _descended(self, x: Array) -> Array:
        """Return the points to which Newton's method on ``∇f = 0`` converges from ``x`` ``[p, n]``.

        The length of a step is bounded.
        """
        converged = [x[:0]]
        tiny = 1e-12 * np.eye(x.shape[1])
        for _ in range(_ITERATIONS):
            g, h = self.slopes(x)
            there = np.linalg.norm(g, axis=1) < 1e-9
            converged.append(x[there])
            x, g, h = x[~there], g[~there], h[~there]
            step = np.linalg.solve(h + tiny, g[:, :, None])[:, :, 0]
            length = np.linalg.norm(step, axis=1, keepdims=True)
            x = x - step * np.minimum(1.0, _MAX_STEP / np.maximum(length, 1e-300))
        return numbers(np.mod(np.concatenate(converged), 2.0 * math.pi))


def drawn(k: Array, rng: np.random.Generator) -> Polynomial:
    """Return a random polynomial with the wave vectors ``k`` ``[K, n]``."""
    return Polynomial(k, rng.standard_normal(len(k)), rng.standard_normal(len(k)))


def expected_kinds(k: Array, rng: np.random.Generator, draws: int) -> Array:
    """Return the expected number of critical points of each index, ``[n + 1]``, by Kac and Rice.

    ``E N_i = (2π)^{n/2} det(Λ)^{−1/2} E[|det H| 1(index = i)]``: gradient and Hessian at a point
    are independent, Λ is the covariance of the gradient, and the expectation over the Hessian is a
    mean over ``draws`` random ones. No function is searched for critical points. ``k`` is ``[K,
    n]``.
    """
    n = k.shape[1]
    moments = k.T @ k
    h = np.einsum("dk,ki,kj->dij", rng.standard_normal((draws, len(k))), k, k, optimize=True)
    values = np.linalg.eigvalsh(h)
    weight, index = np.abs(values.prod(axis=1)), (values < 0.0).sum(axis=1)
    # H and −H are equally likely; using both halves the variance.
    sums = np.bincount(index, weights=weight, minlength=n + 1)
    mean = 0.5 * (sums + sums[::-1]) / draws
    return numbers((2.0 * math.pi) ** (0.5 * n) / math.sqrt(np.linalg.det(moments)) * mean)


def _lawful(kinds: Array) -> bool:
    n = len(kinds) - 1
    signs = numbers([(-1) ** i for i in range(n + 1)])
    return float(signs @ kinds) == 0.0 and all(kinds[i] >= math.comb(n, i) for i in range(n + 1))


def _distinct(points: Array) -> Array:
    """Return the distinct ones of points ``[q, n]`` of the torus; the first of each is kept."""
    if not len(points):
        return points
    # First by rounding, which can leave a point twice if it lies at an edge of a cell.
    _, first = np.unique(np.round(points / _SAME).astype(np.int64), axis=0, return_index=True)
    points = points[np.sort(first)]
    # As points on unit circles, so that 0 and 2π coincide.
    flat = np.concatenate([np.cos(points), np.sin(points)], axis=1)
    squares = (flat * flat).sum(axis=1)
    near = squares[:, None] + squares[None, :] - 2.0 * flat @ flat.T < (10.0 * _SAME) ** 2
    return numbers(points[~np.triu(near, 1).any(axis=0)])
