"""Figure 8.3: a cliff, approached from above and from below, with and without clipping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optlab.objective.surface_objective import heights
from optlab.studies.figures.base import Figure, Ground, Number, ground
from optlab.studies.figures.live import Track, contender, surface, tracks

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

STEPS = 30
_WIDE = ((-13.0, 3.0), (-0.4, 2.0))
_CLOSE = ((-3.4, 3.0), (-2.0, 2.0))


@dataclass(frozen=True)
class Cliff:
    """The cliff nearby (``land``) and with its surroundings (``wide``), and four descents.

    ``lr`` and ``threshold`` are those of the surface.
    """

    land: Ground
    wide: Ground
    lr: float
    threshold: float
    above: Track
    above_clipped: Track
    below: Track
    below_clipped: Track


class CliffFigure(Figure[Cliff]):
    """The relief with the clipped descents, and maps of the unclipped and the clipped ones."""

    number: ClassVar[str] = "8.3"
    title: ClassVar[str] = "A cliff throws the parameters far away, unless the step is bounded"
    size: ClassVar[tuple[float, float]] = (9.0, 6.0)

    def compute(self) -> Cliff:
        on = surface("cliff")
        above, below = (start.point for start in on.starts()[:2])
        runs = tracks(
            on,
            [
                contender("from above", above, "sgd", lr=on.lr),
                contender("from above, clipped", above, "sgd", on.threshold, lr=on.lr),
                contender("from below", below, "sgd", lr=on.lr),
                contender("from below, clipped", below, "sgd", on.threshold, lr=on.lr),
            ],
            STEPS,
        )
        return Cliff(
            ground(on, _CLOSE, (241, 61)), ground(on, _WIDE, (321, 81)), on.lr, on.threshold, *runs
        )

    def caption(self, data: Cliff) -> str:
        return (
            f"On the wall the norm of the gradient reaches {_steepest(data.above):.0f}; on the "
            "slopes before it, it is "
            f"about 1. Gradient descent (ε = {data.lr:g}) approaches the wall from above or from "
            "below; once on "
            f"it, a single step of length {data.above.steps.max():.1f} or "
            f"{data.below.steps.max():.1f} throws it back across "
            f"the valley. Clipped to a norm of {data.threshold:g}, the gradient keeps its "
            "direction, no step is longer than "
            f"ε·{data.threshold:g} = {data.lr * data.threshold:g}, and both descents stay at the "
            "foot of the wall, where the "
            "values are lowest."
        )

    def numbers(self, data: Cliff) -> Mapping[str, Number]:
        numbers: dict[str, Number] = {
            "learning rate": data.lr,
            "threshold of clipping": data.threshold,
            "steps": STEPS,
        }
        for track in (data.above, data.above_clipped, data.below, data.below_clipped):
            numbers[f"{track.label}: longest step"] = float(track.steps.max())
            numbers[f"{track.label}: largest gradient"] = _steepest(track)
            numbers[f"{track.label}: end"] = track.positions[-1].tolist()
            numbers[f"{track.label}: height at the start, at the end"] = [
                float(track.values[0]),
                float(track.values[-1]),
            ]
        return numbers

    def draw(self, data: Cliff, page: Page) -> None:
        colors = page.colors
        grid = page.sheet.add_gridspec(2, 2, width_ratios=(1.0, 1.12))
        solid = page.relief(
            page.sheet.add_subplot(grid[:, 0], projection="3d"),
            "The cliff",
            data.land,
            azimuth=-118.0,
            elevation=34.0,
            zoom=1.05,
        )
        levels = np.concatenate([np.linspace(0.0, 3.5, 8), np.linspace(4.5, 13.5, 10)])
        free, clipped = page.sheet.add_subplot(grid[0, 1]), page.sheet.add_subplot(grid[1, 1])
        page.contours(free, "Without clipping", data.wide, levels)
        page.contours(clipped, rf"Clipped to $\|g\|\leq {data.threshold:g}$", data.land, levels)
        chosen = (colors.palette[1], colors.palette[2])
        for axes, pair in (
            (free, (data.above, data.below)),
            (clipped, (data.above_clipped, data.below_clipped)),
        ):
            for track, color in zip(pair, chosen, strict=True):
                axes.plot(
                    *track.positions.T,
                    "o-",
                    color=color,
                    markersize=2.6,
                    linewidth=1.1,
                    label=track.label.split(",")[0],
                )
                axes.plot(
                    *track.positions[0],
                    "o",
                    markerfacecolor="none",
                    markeredgecolor=color,
                    markersize=9,
                    markeredgewidth=1.4,
                )
                if track in (data.above_clipped, data.below_clipped):
                    # Slightly above the surface, which would hide half of a line within it.
                    solid.plot(
                        *track.positions.T,
                        track.values + 0.25,
                        "o-",
                        color=color,
                        markersize=2.6,
                        linewidth=1.4,
                        zorder=5,
                    )
        clipped.set_ylim(-0.4, 2.0)
        free.legend(
            loc="upper left",
            ncols=2,
            frameon=True,
            framealpha=0.85,
            facecolor=colors.background,
            edgecolor="none",
        )
        wall = float(heights(data.land.surface, [[3.0, 0.0]])[0])
        solid.set_zlim(0.0, wall + 1.0)
        solid.set_xlabel("$x$", labelpad=-4)
        solid.set_ylabel("$y$", labelpad=-4)
        solid.tick_params(pad=-2)


def _steepest(track: Track) -> float:
    """Return the largest norm of the surface's gradient along a path."""
    return float(np.linalg.norm(track.gradients, axis=1).max())
