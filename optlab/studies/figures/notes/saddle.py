"""Figure 4.5: a saddle of two variables, a minimum in one direction, a maximum in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optlab.objective.surface_objective import Array, heights
from optlab.studies.figures.base import Figure, Ground, Number, ground, signed
from optlab.studies.figures.live import Track, contender, surface, tracks
from optlab.studies.surfaces.stationary import critical_points

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

LR = 0.1
STEPS = 36
_START, _NEWTON_START = (1.5, 0.003), (1.6, 0.9)
_HALF_LENGTH = 1.6


@dataclass(frozen=True)
class SaddlePoint:
    """The saddle ``x₁² − x₂²``.

    Attributes:
        point, value: the critical point ``[2]``, computed by the engine. index: number of negative
            eigenvalues.
        eigenvalues: of the Hessian there, ascending, ``[2]``. eigenvectors: ``[2, 2]``, one a row.
        along: distances from the point, ``[n]``. sections: heights there along each eigenvector,
            ``[2, n]``.
        descent, newton: gradient descent from near the ridge, and Newton's method from the slope.
    """

    land: Ground
    point: Array
    value: float
    index: int
    eigenvalues: Array
    eigenvectors: Array
    along: Array
    sections: Array
    descent: Track
    newton: Track


class SaddleFigure(Figure[SaddlePoint]):
    """The relief with its two sections, and the map with the paths of two methods."""

    number: ClassVar[str] = "4.5"
    title: ClassVar[str] = "A saddle: a minimum along one direction, a maximum along another"
    size: ClassVar[tuple[float, float]] = (9.0, 5.4)

    def compute(self) -> SaddlePoint:
        on = surface("saddle")
        (saddle,) = critical_points(on).points
        vectors = saddle.eigenvectors.T.copy()
        # The sign of an eigenvector is arbitrary; let them point in the usual direction.
        vectors *= np.where(vectors.sum(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
        along = np.linspace(-_HALF_LENGTH, _HALF_LENGTH, 81)
        sections = np.stack(
            [heights(on, saddle.point + along[:, None] * vector) for vector in vectors]
        )
        descent, newton = tracks(
            on,
            [
                contender("gradient descent", _START, "sgd", lr=LR),
                contender("Newton's method", _NEWTON_START, "newton", damping=0.0),
            ],
            STEPS,
        )
        return SaddlePoint(
            ground(on, counts=(81, 81)),
            saddle.point,
            saddle.value,
            saddle.index,
            saddle.eigenvalues,
            vectors,
            along,
            sections,
            descent,
            newton,
        )

    def caption(self, data: SaddlePoint) -> str:
        down, up = data.eigenvalues
        return (
            "f(x) = x₁² − x₂² has zero gradient at the origin. Along the eigenvector of the "
            f"eigenvalue {signed(up, '+.3g')} it rises "
            f"on both sides, along that of {signed(down)} it falls. Gradient descent (ε = "
            f"{LR:g}), started near the ridge, approaches the "
            f"saddle up to {np.linalg.norm(data.descent.positions, axis=1).min():.2g}, slows "
            "down and leaves it along the direction of "
            "negative curvature; Newton's method reaches the saddle after "
            f"{int((data.newton.steps > 1e-9).sum())} step, because it "
            "solves for a zero of the gradient."
        )

    def numbers(self, data: SaddlePoint) -> Mapping[str, Number]:
        near = np.linalg.norm(data.descent.positions, axis=1)
        return {
            "critical point": data.point.tolist(),
            "eigenvalues": data.eigenvalues.tolist(),
            "eigenvector of the first": data.eigenvectors[0].tolist(),
            "eigenvector of the second": data.eigenvectors[1].tolist(),
            "index": data.index,
            "start of gradient descent, of Newton's method": [*_START, *_NEWTON_START],
            "learning rate of gradient descent": LR,
            "nearest to the saddle, after steps": [float(near.min()), int(near.argmin())],
            f"end of gradient descent after {len(near) - 1} steps": data.descent.positions[
                -1
            ].tolist(),
            "end of Newton's method": data.newton.positions[-1].tolist(),
        }

    def draw(self, data: SaddlePoint, page: Page) -> None:
        colors = page.colors
        grid = page.sheet.add_gridspec(1, 2, width_ratios=(1.15, 1.0))
        solid = page.relief(
            page.sheet.add_subplot(grid[0], projection="3d"),
            "$f(x)=x_1^2-x_2^2$",
            data.land,
            azimuth=-58.0,
            elevation=32.0,
            zoom=1.12,
        )
        chosen = (colors.palette[1], colors.palette[2])
        for vector, section, color in zip(data.eigenvectors, data.sections, chosen, strict=True):
            line = data.point[:, None] + vector[:, None] * data.along
            # The part that falls off beyond the ridge is hidden in this view, so it is dotted.
            hidden = (data.along > 0.4) & (section < data.value)
            solid.plot(
                line[0, ~hidden],
                line[1, ~hidden],
                section[~hidden] + 0.05,
                color=color,
                linewidth=2.2,
                zorder=5,
            )
            solid.plot(
                line[0, hidden],
                line[1, hidden],
                section[hidden] + 0.05,
                color=color,
                linewidth=1.1,
                linestyle=":",
                zorder=5,
            )
        solid.plot(
            [data.point[0]],
            [data.point[1]],
            [data.value + 0.05],
            "o",
            color=colors.foreground,
            markersize=5,
            zorder=6,
        )
        solid.set_xlabel("$x_1$", labelpad=-4)
        solid.set_ylabel("$x_2$", labelpad=-4)
        solid.tick_params(pad=-2)
        solid.set_xticks([-2, -1, 0, 1, 2])
        solid.set_yticks([-2, -1, 0, 1, 2])
        axes = page.sheet.add_subplot(grid[1])
        page.contours(
            axes, "Eigenvectors and paths", data.land, np.linspace(-3.5, 3.5, 15), "$x_1$", "$x_2$"
        )
        axes.set_aspect("equal")
        for vector, value, color in zip(data.eigenvectors, data.eigenvalues, chosen, strict=True):
            tip = data.point - 0.9 * vector
            axes.annotate(
                "",
                tuple(tip),
                tuple(data.point),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": color,
                    "linewidth": 2.2,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
            level = abs(vector[0]) > 0.5
            x, y = tip + (np.array([-0.1, -0.22]) if level else np.array([0.12, 0.0]))
            axes.text(
                x,
                y,
                rf"$\lambda={value:+.3g}$",
                color=color,
                ha="center" if level else "left",
                va="center",
                fontsize=10,
            )
        axes.plot(
            *data.descent.positions.T,
            "o-",
            color=colors.palette[0],
            markersize=3.2,
            linewidth=1.2,
            label="gradient descent",
            zorder=3,
        )
        axes.plot(
            *data.newton.positions[:2].T,
            "D--",
            color=colors.palette[3],
            markersize=4.5,
            linewidth=1.4,
            label="Newton's method",
            zorder=2,
        )
        axes.legend(
            loc="lower left",
            frameon=True,
            framealpha=0.85,
            facecolor=colors.background,
            edgecolor="none",
        )
