"""Figure 4.2: the three kinds of critical points of a function of one variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval
from optlab.objective.surface_objective import Array, heights, picture
from optlab.studies.figures.base import Figure, Number, signed
from optlab.studies.figures.live import Track, contender, surface, tracks
from optlab.studies.surfaces.stationary import critical_points

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

STEPS = 200
_NEAR = 0.1
_PANELS: tuple[tuple[str, str, Interval, float, float], ...] = (
    ("minimum", "Minimum", (-2.0, 2.0), 1.8, 0.3),
    ("maximum", "Maximum", (-2.0, 2.0), 0.1, 0.3),
    ("inflection", "Saddle point", (-0.6, 0.6), 0.5, 0.1),
)
"""Surface, title, part to show, start of the descent, its learning rate."""


@dataclass(frozen=True)
class Kind:
    """One critical point.

    Attributes:
        x, f: the function, ``[n]``. point, value: the critical point, computed by the engine.
            slope, curvature: there.
        left, right: heights a little to either side, less the value. track: gradient descent that
            starts near.
    """

    title: str
    x: Array
    f: Array
    point: float
    value: float
    slope: float
    curvature: float
    left: float
    right: float
    track: Track


@dataclass(frozen=True)
class Kinds:
    """The three kinds of critical points."""

    minimum: Kind
    maximum: Kind
    saddle: Kind


class CriticalPointsFigure(Figure[Kinds]):
    """A minimum, a maximum and a saddle of one variable, and gradient descent near each."""

    number: ClassVar[str] = "4.2"
    title: ClassVar[str] = "Points of zero slope in one dimension"
    size: ClassVar[tuple[float, float]] = (9.0, 4.4)

    def compute(self) -> Kinds:
        return Kinds(*(_kind(*panel) for panel in _PANELS))

    def caption(self, data: Kinds) -> str:
        return (
            "At each diamond the slope is zero. A minimum is lower than its neighbors, a maximum "
            "higher; a saddle has both higher and lower "
            "neighbors. The curvature distinguishes the first two "
            f"({signed(data.minimum.curvature, '+.3g')} and "
            f"{signed(data.maximum.curvature, '+.3g')}), but is {abs(data.saddle.curvature):.2g} "
            "at the saddle. The dots show gradient "
            "descent from the start marked by a ring: it converges to the minimum, leaves the "
            "maximum, and stalls at the saddle although "
            f"lower values lie beyond it: after {STEPS} steps it is still "
            f"{data.saddle.track.positions[-1, 0]:.2g} away."
        )

    def numbers(self, data: Kinds) -> Mapping[str, Number]:
        numbers: dict[str, Number] = {"steps of gradient descent": STEPS}
        for kind, (_, _, _, start, lr) in zip(
            (data.minimum, data.maximum, data.saddle), _PANELS, strict=True
        ):
            name = kind.title.lower()
            numbers[f"{name}: where, height"] = [kind.point, kind.value]
            numbers[f"{name}: slope, curvature"] = [kind.slope, kind.curvature]
            numbers[f"{name}: {_NEAR:g} to the left, to the right, higher by"] = [
                kind.left,
                kind.right,
            ]
            numbers[f"{name}: descent at a rate of {lr:g} from, to"] = [
                start,
                float(kind.track.positions[-1, 0]),
            ]
        return numbers

    def draw(self, data: Kinds, page: Page) -> None:
        colors = page.colors
        panels = page.sheet.subplots(1, 3)
        for axes, kind in zip(panels, (data.minimum, data.maximum, data.saddle), strict=True):
            page.curves(axes, kind.title, "$x$", "$f(x)$" if kind is data.minimum else "")
            axes.plot(kind.x, kind.f, color=colors.palette[0], linewidth=2.0)
            low, high = float(kind.x[0]), float(kind.x[-1])
            half = 0.22 * (high - low)
            axes.plot(
                [kind.point - half, kind.point + half],
                [kind.value] * 2,
                color=page.muted,
                linewidth=1.0,
                linestyle="--",
            )
            x, f = kind.track.positions[:, 0], kind.track.values
            shown = (x >= low) & (x <= high)
            axes.plot(x[shown], f[shown], "o", color=colors.palette[2], markersize=3.2, zorder=3)
            axes.plot(
                x[:1],
                f[:1],
                "o",
                markerfacecolor="none",
                markeredgecolor=colors.palette[2],
                markersize=9,
                zorder=3,
            )
            axes.plot(
                [kind.point], [kind.value], "D", color=colors.palette[1], markersize=6.5, zorder=4
            )
            # Within rounding error of zero the sign is meaningless.
            curvature = 0.0 if abs(kind.curvature) < 1e-6 else kind.curvature
            axes.set_title(
                f"$f''={curvature:+.3g}$" if curvature else "$f''=0$",
                loc="right",
                fontsize=9,
                color=page.muted,
            )
            axes.set_xlim(low, high)
            axes.margins(y=0.12)


def _kind(name: str, title: str, domain: Interval, start: float, lr: float) -> Kind:
    on = surface(name)
    (x,), f = picture(on, 201, [domain])
    (point,) = critical_points(on, [domain]).points
    at = float(point.point[0])
    left, right = heights(on, [[at - _NEAR], [at + _NEAR]]) - point.value
    (track,) = tracks(on, [contender(title, (start,), "sgd", lr=lr)], STEPS)
    return Kind(
        title,
        x,
        f,
        at,
        point.value,
        float(point.gradient[0]),
        float(point.eigenvalues[0]),
        float(left),
        float(right),
        track,
    )
