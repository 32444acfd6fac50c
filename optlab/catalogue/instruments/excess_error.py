"""Excess error: how fast the objective approaches its minimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.fields import flag, number
from optlab.core.lazy import torch

_MAX_POINTS = 1024
"""Readings to keep; beyond that every other one is dropped."""
_MIN_FITTED = 4
"""Readings that the fit of a line needs."""
_NEAR = 0.15
"""Deviation from −1 up to which the slope of the rate on log axes counts as that of 1/k."""


class ExcessError(Instrument):
    """The objective on the training set minus its minimum, with the fitted order of convergence.

    On logarithmic axes a power of the number of steps is a line whose slope is the order. For
    stochastic gradients it depends on how examples are sampled. Drawn independently (with
    replacement), it is −1/2 on a convex problem and −1 on a strongly convex one with a rate
    proportional to 1/k. Where each epoch contains every example once (shuffled, in batches of one
    size), the errors of an epoch cancel, and it is −2 instead (steeper at first, where readings fall
    on the ends of epochs only). On all data it is −1 for gradient
    descent and −2 for Nesterov's method. The expected order is that of the run's own sampling on a
    strongly convex problem; it is shown while the rate falls as 1/k. Linear convergence, where each step leaves a fixed share
    of the excess, bends down on these axes; that share is reported, too. Both are fitted to the
    last decade of steps. The picture shows the bounds of theory for comparison.

    Where the minimum is not known, the smallest value that any run of the population with the same
    objective (data and loss) has reached so far replaces it. The excess is then too small near the end, and the slope too steep:
    continue training for a while beyond the part that you want to examine.
    """

    name: ClassVar[str] = "excess_error"
    label: ClassVar[str] = "Excess error"
    group: ClassVar[str] = "Convergence"
    sort_order: ClassVar[int] = 120
    rule: ClassVar[tuple[str, ...]] = (
        r"J(\theta_k) - J^*",
        r"\text{bounds:}\quad O\left(\frac{1}{\sqrt{k}}\right),\ O\left(\frac{1}{k}\right),\ "
        r"O\left(\frac{1}{k^2}\right),\ O\left(\rho^k\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "J*": "minimum of the objective",
        "k": "number of steps",
        "ρ": "share of the excess that a step leaves",
    }
    source: ClassVar[str] = (
        "Notes, section 8.3.1: convergence of stochastic gradient descent; chapter row A18; "
        "Y. Nesterov (1983); without replacement: M. Gürbüzbalaban, A. Ozdaglar, P. Parrilo (2021)."
    )
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("objective", "Objective on the training set", log=True),
        Quantity("excess", "Excess error", log=True),
        Quantity("slope", "Order of convergence (slope on log axes)"),
        Quantity("expected", "Order expected from the sampling order"),
        Quantity("left", "Share of the excess that a step leaves"),
    )
    draws: ClassVar[str] = (
        "Excess error against steps, the fitted line, and the bounds 1/√k, 1/k, 1/k² and ρ to the "
        "power k, drawn through the first point of the fit."
    )

    every: int = schedule(50, "A reading is a pass through the training set.")
    known: bool = flag(
        False,
        "Minimum is known",
        help="Whether the minimum is the number below; otherwise the smallest objective reached so "
        "far replaces it.",
    )
    minimum: float = number(
        0.0, "Minimum", symbol="J*", help="Minimum of the objective, if it is known."
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        value = context.objective()
        points: list[tuple[int, torch.Tensor, torch.Tensor]] = memory.setdefault("points", [])
        stride = memory.setdefault("stride", 1)
        memory["count"] = memory.get("count", 0) + 1
        if (memory["count"] - 1) % stride == 0:
            points.append((context.step, value, context.rate))
        if len(points) > _MAX_POINTS:
            memory["points"], memory["stride"] = points[::2], 2 * stride
        kept = memory["points"]
        steps = torch.tensor([float(step) for step, _, _ in kept], dtype=torch.float64)
        values = torch.stack([value for _, value, _ in kept]).double().cpu()
        lowest = torch.cat([values, value.double().cpu().unsqueeze(0)]).nan_to_num(float("inf"))
        memory["best"] = best = torch.minimum(
            _of_same(lowest.amin(dim=0), context.objectives),
            memory.get("best", torch.tensor(float("inf"), dtype=torch.float64)),
        )
        excess = values - (self.minimum if self.known else best)
        slope, level, left, first = self._fitted(steps, excess)
        rates = torch.stack([rate for _, _, rate in kept]).double().cpu()
        expected = self._expected(steps, rates, context.expected_orders)
        current = value.double().cpu() - (self.minimum if self.known else best)
        series = {
            "objective": value,
            "excess": current.to(value),
            "slope": slope.to(value),
            "left": left.to(value),
        }
        if bool(torch.isfinite(expected).any()):
            series["expected"] = expected.to(value)
        return Reading(series, lambda: self._picture(steps, excess, slope, level, left, first))

    def cost(self) -> str:
        return "an evaluation of the training set"

    @staticmethod
    def _fitted(
        steps: torch.Tensor, excess: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fit a line on log axes, and the share that a step leaves.

        Returns:
            Slope and level of the line, share, and index of the first fitted point, each ``[R]``;
            NaN where there are too few points.
        """
        runs = excess.shape[1]
        slope, level, left = (
            torch.full((runs,), float("nan"), dtype=torch.float64) for _ in range(3)
        )
        first = torch.zeros(runs, dtype=torch.int64)
        for run in range(runs):
            usable = (
                (steps > 0.0)
                & (steps >= 0.1 * steps[-1])
                & (excess[:, run] > 0.0)
                & torch.isfinite(excess[:, run])
            )
            if int(usable.sum()) < _MIN_FITTED:
                continue
            k, e = steps[usable], excess[usable, run].log()
            slope[run], level[run] = _line(k.log(), e)
            left[run] = _line(k, e)[0].exp()
            first[run] = int(usable.to(torch.int64).argmax())
        return slope, level, left, first

    @staticmethod
    def _expected(
        steps: torch.Tensor, rates: torch.Tensor, orders: Sequence[float | None]
    ) -> torch.Tensor:
        """Return the expected order ``[R]`` of runs whose rate falls as 1/k; NaN for others.

        Args:
            steps: of the readings, ``[K]``. rates: learning rates there, ``[K, R]``. orders: of
                each run.
        """
        expected = torch.full((rates.shape[1],), float("nan"), dtype=torch.float64)
        late = (steps > 0.0) & (steps >= 0.1 * steps[-1])
        if int(late.sum()) < _MIN_FITTED:
            return expected
        for run, order in enumerate(orders):
            rate = rates[late, run]
            if order is not None and bool((rate > 0.0).all()):
                fall = float(_line(steps[late].log(), rate.log())[0])
                if abs(fall + 1.0) <= _NEAR:
                    expected[run] = order
        return expected

    @staticmethod
    def _picture(
        steps: torch.Tensor,
        excess: torch.Tensor,
        slope: torch.Tensor,
        level: torch.Tensor,
        left: torch.Tensor,
        first: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        k = steps.expand(excess.shape[1], -1)
        k0, e0 = steps[first].unsqueeze(1), excess.T.gather(1, first.unsqueeze(1))
        ratio = k0 / k.clamp_min(1.0)
        return {
            "steps": k,
            "excess": excess.T,
            "fit": (level.unsqueeze(1) + slope.unsqueeze(1) * k.clamp_min(1.0).log()).exp(),
            "1/√k": e0 * ratio.sqrt(),
            "1/k": e0 * ratio,
            "1/k²": e0 * ratio.square(),
            "linear": e0 * left.unsqueeze(1) ** (k - k0),
        }


def _of_same(lowest: torch.Tensor, objectives: Sequence[int]) -> torch.Tensor:
    """Return for each run ``[R]`` the lowest value of all runs with the same objective."""
    best = lowest.clone()
    for objective in set(objectives):
        rows = [run for run, its in enumerate(objectives) if its == objective]
        best[rows] = lowest[rows].amin()
    return best


def _line(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return slope and intercept of the least-squares line."""
    centered = x - x.mean()
    slope = (centered * y).sum() / centered.square().sum()
    return slope, y.mean() - slope * x.mean()
