"""Figure 8.5: in a canyon momentum moves along it, gradient descent from side to side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optlab.objective.surface_objective import Array
from optlab.studies.figures.base import Figure, Ground, Number, ground
from optlab.studies.figures.live import Track, contender, surface, tracks

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

CONDITION = 5.0
LR = 2.0 / (1.0 + CONDITION)
"""Of gradient descent: the rate at which it converges fastest, by (κ − 1)/(κ + 1) a step."""
MOMENTUM_LR, MOMENTUM = 0.1, 0.5
"""Of the path drawn."""
BEST_LR = (2.0 / (1.0 + math.sqrt(CONDITION))) ** 2
BEST_MOMENTUM = ((math.sqrt(CONDITION) - 1.0) / (math.sqrt(CONDITION) + 1.0)) ** 2
"""The pair at which momentum converges fastest, by (√κ − 1)/(√κ + 1) a step (Polyak 1964)."""
STEPS = 40
_SLOPE_STEPS = 60
_ARROWS = 7
_SHOWN = ((-23.0, 14.0), (-13.0, 28.0))


@dataclass(frozen=True)
class Canyon:
    """The quadratic of condition number 5.

    Attributes:
        angle: of the canyon against the x-axis, degrees.
        gradient, momentum, best: gradient descent, momentum as drawn, and momentum at its best.
        arrows: the step that gradient descent would take from each of the first positions of
            ``momentum``, ``[n, 2]``.
        speeds: of momentum as drawn on a constant slope of 1, after each step, ``[K]``. terminal:
            ε/(1 − α), their limit by (8.17).
    """

    land: Ground
    angle: float
    gradient: Track
    momentum: Track
    best: Track
    arrows: Array
    speeds: Array
    terminal: float


class MomentumFigure(Figure[Canyon]):
    """The canyon with both paths, and their distances to the minimum."""

    number: ClassVar[str] = "8.5"
    title: ClassVar[str] = "Momentum moves along the canyon"
    size: ClassVar[tuple[float, float]] = (9.0, 5.3)

    def compute(self) -> Canyon:
        on = surface("quadratic", condition=CONDITION)
        start = on.starts()[0].point
        gradient, momentum, best = tracks(
            on,
            [
                contender("gradient descent", start, "sgd", lr=LR),
                contender("momentum", start, "momentum", lr=MOMENTUM_LR, momentum=MOMENTUM),
                contender(
                    "momentum at its best", start, "momentum", lr=BEST_LR, momentum=BEST_MOMENTUM
                ),
            ],
            STEPS,
        )
        slope = surface("formula", expression="x", x_from=-10.0, x_to=10.0)
        (sliding,) = tracks(
            slope,
            [
                contender(
                    "sliding",
                    (0.0,) * slope.dimension,
                    "momentum",
                    lr=MOMENTUM_LR,
                    momentum=MOMENTUM,
                )
            ],
            _SLOPE_STEPS,
        )
        arrows = -LR * momentum.gradients[:_ARROWS]
        return Canyon(
            ground(on, _SHOWN),
            float(on.values()["angle"]),
            gradient,
            momentum,
            best,
            arrows,
            sliding.steps,
            MOMENTUM_LR / (1.0 - MOMENTUM),
        )

    def caption(self, data: Canyon) -> str:
        return (
            f"Contours of a quadratic with {CONDITION:g} times as much curvature across the "
            "canyon as along it. Gradient descent at its "
            f"best rate (ε = {LR:.3g}) crosses the canyon with each step; the arrows show its "
            "step from points of the momentum path (ε = "
            f"{MOMENTUM_LR:g}, α = {MOMENTUM:g}). Momentum accumulates the common part of its "
            "steps, up to ε‖g‖/(1 − α) = "
            f"{data.terminal:.3g}‖g‖. Its path has length {data.momentum.length:.0f}, that of "
            f"gradient descent {data.gradient.length:.0f}. "
            f"Right: a hundredth of the distance remains after {left(data.momentum, 0.01)} and "
            f"{left(data.gradient, 0.01)} steps, and after "
            f"{left(data.best, 0.01)} with the best parameters of momentum (ε = {BEST_LR:.3g}, α "
            f"= {BEST_MOMENTUM:.2g})."
        )

    def numbers(self, data: Canyon) -> Mapping[str, Number]:
        return {
            "condition number": CONDITION,
            "start": data.gradient.positions[0].tolist(),
            "steps": STEPS,
            "gradient descent: learning rate": LR,
            "momentum: learning rate, α": [MOMENTUM_LR, MOMENTUM],
            "momentum at its best: learning rate, α": [BEST_LR, BEST_MOMENTUM],
            "length of the path: gradient descent, momentum, at its best": [
                data.gradient.length,
                data.momentum.length,
                data.best.length,
            ],
            "steps until 1% of the distance is left: gradient descent, momentum, at its best": [
                float(left(track, 0.01)) for track in (data.gradient, data.momentum, data.best)
            ],
            "times that it crosses the canyon: gradient descent, momentum": [
                float(crossings(data.gradient, data.angle)),
                float(crossings(data.momentum, data.angle)),
            ],
            f"speed on a slope of 1 after {_SLOPE_STEPS} steps, and ε/(1 − α)": [
                float(data.speeds[-1]),
                data.terminal,
            ],
        }

    def draw(self, data: Canyon, page: Page) -> None:
        colors = page.colors
        grid = page.sheet.add_gridspec(1, 2, width_ratios=(1.0, 1.1))
        axes, race = page.sheet.add_subplot(grid[0]), page.sheet.add_subplot(grid[1])
        levels = 0.5 * np.linspace(0.0, 60.0, 19)[1:] ** 2
        page.contours(axes, "The canyon", data.land, levels)
        axes.set_aspect("equal")
        chosen = {
            data.gradient.label: colors.palette[0],
            data.momentum.label: colors.palette[1],
            data.best.label: colors.palette[2],
        }
        for point, arrow in zip(data.momentum.positions, data.arrows, strict=False):
            axes.annotate(
                "",
                point + arrow,
                point,
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": page.muted,
                    "linewidth": 0.9,
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "mutation_scale": 8,
                },
                zorder=2,
            )
        for track in (data.gradient, data.momentum):
            dashed = "o--" if track is data.gradient else "o-"
            axes.plot(
                *track.positions.T,
                dashed,
                color=chosen[track.label],
                markersize=3.2,
                linewidth=1.2 if track is data.gradient else 2.0,
                label=track.label,
                zorder=3,
            )
        axes.plot(
            [],
            [],
            color=page.muted,
            marker=">",
            markersize=4,
            linewidth=0.9,
            label="step of gradient descent",
        )
        axes.legend(
            loc="lower left",
            frameon=True,
            framealpha=0.85,
            facecolor=colors.background,
            edgecolor="none",
        )
        page.curves(race, "Distance to the minimum", "step", r"$\|\theta-\theta^*\|$")
        for track in (data.gradient, data.momentum, data.best):
            far = np.linalg.norm(track.positions, axis=1)
            race.semilogy(
                far,
                "o-",
                color=chosen[track.label],
                markersize=2.6,
                linewidth=1.4,
                label=track.label,
            )
        race.set_xlim(0.0, STEPS)
        race.set_ylim(1e-5, 1e2)
        race.legend(loc="upper right")


def left(track: Track, share: float) -> int:
    """Return the steps until the distance to the minimum stays within a share of the first one.

    -1 if it does not.
    """
    far = np.linalg.norm(track.positions, axis=1)
    outside = np.flatnonzero(far > share * far[0])
    return int(outside[-1]) + 1 if outside[-1] < len(far) - 1 else -1


def crossings(track: Track, angle: float) -> int:
    """Return how often a path crosses the canyon.

    Points closer to its axis than a thousandth of the first distance do not count.
    """
    turn = math.radians(angle)
    across = track.positions[:, 1] * math.cos(turn) - track.positions[:, 0] * math.sin(turn)
    across = across[np.abs(across) > 1e-3 * abs(across[0])]
    return int((np.sign(across[1:]) != np.sign(across[:-1])).sum())
