"""Random trigonometric polynomials on the torus: stationary Gaussian fields whose critical points
can all be found, counted and predicted.

``f(x) = Σ_k a_k cos(k·x) + b_k sin(k·x)`` with standard normal coefficients and all wave vectors k
of length at most a bound (one of each pair ±k). Every point of the torus looks like every other,
and f has a gradient, a Hessian and a finite number of critical points. Two laws hold for those of
index i, whatever f is: ``Σ_i (−1)^i N_i = 0`` (the torus' Euler characteristic) and ``N_i ≥ C(n,
i)`` (Morse). A count that misses a point breaks the first one.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from optlab.studies.demonstrations.base import Array, numbers

_BATCHES = 40
_QUIET = 2
"""Batches of starts that must find nothing new, with both laws kept, before a count counts as
complete.
"""
_ITERATIONS = 25
_LONGEST = 0.6
_SAME = 1e-4


def waves(n: int, bound: int) -> Array:
    """Wave vectors ``[K, n]`` with squared length from 1 to ``bound``, one of each pair ±k."""
    reach = math.isqrt(bound)
    found = [
        k
        for k in itertools.product(range(-reach, reach + 1), repeat=n)
        if 0 < sum(i * i for i in k) <= bound
    ]
    return numbers([k for k in found if k > tuple(-i for i in k)])


class Polynomial:
    """One draw.

    Args:
        k: wave vectors ``[K, n]``. cosine, sine: coefficients ``[K]``.
    """

    def __init__(self, k: Array, cosine: Array, sine: Array) -> None:
        self._k, self._cosine, self._sine = k, cosine, sine
        self._squares = np.einsum("ki,kj->kij", k, k).reshape(len(k), -1)

    def values(self, x: Array) -> Array:
        """``f`` at points ``[p, n]``."""
        phase = x @ self._k.T
        return numbers(np.cos(phase) @ self._cosine + np.sin(phase) @ self._sine)

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """Gradients ``[p, n]`` and Hessians ``[p, n, n]``."""
        phase = x @ self._k.T
        c, s = np.cos(phase), np.sin(phase)
        g = (self._sine * c - self._cosine * s) @ self._k
        h = -(self._cosine * c + self._sine * s) @ self._squares
        return g, h.reshape(len(x), x.shape[1], x.shape[1])

    def critical_points(self, rng: np.random.Generator) -> tuple[Array, bool]:
        """All critical points ``[q, n]`` in [0, 2π)ⁿ, and whether the count keeps both laws."""
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
        """Numbers ``[n + 1]`` of the critical points ``[q, n]`` with 0, 1, …, n negative
        eigenvalues.
        """
        n = points.shape[1]
        negative = (np.linalg.eigvalsh(self.slopes(points)[1]) < 0.0).sum(axis=1)
        return numbers(np.bincount(negative, minlength=n + 1))

    def _descended(self, x: Array) -> Array:
        """Where Newton's method on ``∇f = 0``, in steps of bounded length, leads from ``x`` ``[p,
        n]``; only what it leads to.
        """
        arrived = [x[:0]]
        nearly_nothing = 1e-12 * np.eye(x.shape[1])
        for _ in range(_ITERATIONS):
            g, h = self.slopes(x)
            there = np.linalg.norm(g, axis=1) < 1e-9
            arrived.append(x[there])
            x, g, h = x[~there], g[~there], h[~there]
            step = np.linalg.solve(h + nearly_nothing, g[:, :, None])[:, :, 0]
            length = np.linalg.norm(step, axis=1, keepdims=True)
            x = x - step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300))
        return numbers(np.mod(np.concatenate(arrived), 2.0 * math.pi))


def drawn(k: Array, rng: np.random.Generator) -> Polynomial:
    """A random one with these wave vectors."""
    return Polynomial(k, rng.standard_normal(len(k)), rng.standard_normal(len(k)))


def expected_kinds(k: Array, rng: np.random.Generator, draws: int) -> Array:
    """Mean numbers ``[n + 1]`` of critical points of each index after Kac and Rice.

    ``E N_i = (2π)^{n/2} det(Λ)^{−1/2} E[|det H| 1(index = i)]``: gradient and Hessian at a point
    are independent, Λ is the covariance of the one, and the mean over the other is taken over
    ``draws`` random Hessians. No function and no critical point is looked at.
    """
    n = k.shape[1]
    moments = k.T @ k
    h = np.einsum("dk,ki,kj->dij", rng.standard_normal((draws, len(k))), k, k, optimize=True)
    values = np.linalg.eigvalsh(h)
    weight, index = np.abs(values.prod(axis=1)), (values < 0.0).sum(axis=1)
    # H and −H are equally likely, which halves the variance.
    sums = np.bincount(index, weights=weight, minlength=n + 1)
    mean = 0.5 * (sums + sums[::-1]) / draws
    return numbers((2.0 * math.pi) ** (0.5 * n) / math.sqrt(np.linalg.det(moments)) * mean)


def _lawful(kinds: Array) -> bool:
    n = len(kinds) - 1
    signs = numbers([(-1) ** i for i in range(n + 1)])
    return float(signs @ kinds) == 0.0 and all(kinds[i] >= math.comb(n, i) for i in range(n + 1))


def _distinct(points: Array) -> Array:
    """Points ``[q, n]`` of the torus of which no two are the same; the first of each stays."""
    if not len(points):
        return points
    # A coarse sieve first, which may leave a point twice where it lies at an edge of the sieve.
    _, first = np.unique(np.round(points / _SAME).astype(np.int64), axis=0, return_index=True)
    points = points[np.sort(first)]
    # On the unit circles the torus has no edge.
    flat = np.concatenate([np.cos(points), np.sin(points)], axis=1)
    squares = (flat * flat).sum(axis=1)
    near = squares[:, None] + squares[None, :] - 2.0 * flat @ flat.T < (10.0 * _SAME) ** 2
    return numbers(points[~np.triu(near, 1).any(axis=0)])
