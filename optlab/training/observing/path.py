"""The path of a run through parameter space, kept small however long the run.

Points are kept at an interval of steps; when there are too many, every second one is dropped and
the interval doubles. The inner products of all points are kept up to date, so the principal
components come from a small symmetric matrix instead of the points themselves. Keeping a point
costs time that grows with P, so points also keep a distance in time: recording must not slow down
the run. Whatever the time, two points are never farther apart than a share of the steps so far.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.training.events import WeightPath

_VALUES = 8_000_000
"""Numbers that the points of a path may hold in total (32 MB in float32)."""
_POINTS = (16, 256)
"""Minimum and maximum number of points of a path.

256 draw a smooth curve, and their eigenvectors take milliseconds.
"""
_SHARE = 0.03
"""Share of the time that keeping points may take."""
_GAP = 1 / 32
"""Largest share of the steps up to now that may pass between two points, …"""
_GAP_SHARE = 0.05
"""… as long as no larger share of the time goes into keeping them; …"""
_WIDEST_GAP = 1 / 12
"""… and the largest one whatever they cost."""
_FREE = 24
"""Points that are kept in any case: a path moves most in its first steps."""
_MAX_DISTANCE = 1e15
"""Largest distance of a weight from its start in a point of the path.

The inner products of farther ones would overflow. A run that gets there is diverging.
"""
_MOVED = 12
"""How many of the largest-moving weights are reported."""


class PathRecorder:
    """Keeps points ``[P]`` of one run and projects them.

    Args:
        layout: names of the weights. run: which run it is.
    """

    def __init__(self, layout: Layout, run: int = 0) -> None:
        self._layout = layout
        self._run = run
        smallest, largest = _POINTS
        self._capacity = max(smallest, min(largest, _VALUES // max(1, layout.total)))
        self._interval = 1
        self._next_step = 0
        self._next_time = 0.0
        self._cost = math.inf
        self._spent = 0.0
        self._began = time.perf_counter()
        self._steps: list[int] = []
        self._points = np.empty((self._capacity, layout.total), dtype=np.float32)
        self._products = np.empty((self._capacity, self._capacity))
        self._origin: NDArray[np.float64] | None = None

    def due(self, step: int) -> bool:
        """Return whether a point is wanted at this step."""
        if step < self._next_step:
            return False
        if len(self._steps) < _FREE:
            return True
        now = time.perf_counter()
        cheap = self._spent < _GAP_SHARE * (now - self._began)
        farthest = (_GAP if cheap else _WIDEST_GAP) * (step - self._steps[0])
        return now >= self._next_time or step - self._steps[-1] >= farthest

    def add(self, step: int, theta: torch.Tensor) -> None:
        """Keep the point ``theta`` ``[P]``, unless it is kept already or too far away."""
        if self._steps and self._steps[-1] == step:
            return
        begun = time.perf_counter()
        point = theta.detach().cpu().double().numpy()
        if self._origin is None:
            self._origin = point
        offset = point - self._origin
        if not np.abs(offset).max(initial=0.0) < _MAX_DISTANCE:
            return
        if len(self._steps) == self._capacity:
            self._thin()
        n = len(self._steps)
        # Relative to the start: the products of far-off points would lose the digits that tell them
        # apart.
        self._points[n] = offset
        # torch computes with the session's threads; NumPy's library would take all cores and fight
        # over them with other runs.
        row = torch.mv(
            torch.from_numpy(self._points[: n + 1]), torch.from_numpy(self._points[n])
        ).numpy()
        self._products[n, : n + 1] = row
        self._products[: n + 1, n] = row
        self._steps.append(step)
        now = time.perf_counter()
        # A single slow point, when the machine was busy, must not delay the next ones.
        self._cost = min(now - begun, 2.0 * self._cost)
        self._spent += now - begun
        self._next_step, self._next_time = step + self._interval, now + self._cost / _SHARE

    def _thin(self) -> None:
        self._interval *= 2
        kept = list(range(0, len(self._steps), 2))
        self._steps = [self._steps[index] for index in kept]
        self._points[: len(kept)] = self._points[kept]
        self._products[: len(kept), : len(kept)] = self._products[np.ix_(kept, kept)]

    def path(self) -> WeightPath | None:
        """Return the current path; None before there are three points."""
        n = len(self._steps)
        if n < 3 or self._origin is None:
            return None
        products = self._products[:n, :n]
        mean = products.mean(axis=0)
        centered = products - mean[:, None] - mean[None, :] + mean.mean()
        decomposition = torch.linalg.eigh(torch.from_numpy(centered))
        values, vectors = (
            np.maximum(decomposition.eigenvalues.numpy()[::-1], 0.0),
            decomposition.eigenvectors.numpy()[:, ::-1],
        )
        plane = vectors[:, :2] * np.sqrt(values[:2])
        # The sign of an eigenvector is arbitrary; the path must not flip between two drawings.
        plane *= np.where(plane[-1] - plane[0] < 0.0, -1.0, 1.0)
        total = float(values.sum())
        explained = values[:2] / total if total > 0.0 else np.zeros(2)
        off = np.sqrt(np.maximum(np.diag(centered) - (plane**2).sum(axis=1), 0.0))
        moved = np.abs(self._points[n - 1])
        count = min(_MOVED, len(moved))
        largest = np.argpartition(moved, len(moved) - count)[len(moved) - count :]
        largest = largest[np.argsort(-moved[largest], kind="stable")]
        return WeightPath(
            run=self._run,
            steps=np.array(self._steps, dtype=np.int64),
            plane=plane,
            explained=explained,
            off_plane=off,
            moved=tuple(self._layout.weight_name(int(index)) for index in largest),
            values=self._points[:n][:, largest] + self._origin[largest],
        )
