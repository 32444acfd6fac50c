"""Figure 8.4: local descent leads away from the lower ground."""

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

LR = 0.5
STEPS = 1000
LOW = -0.9
"""Height below which a run has reached the lower ground."""


@dataclass(frozen=True)
class Mountain:
    """The mountain between two asymptotes.

    Attributes:
        x, section: heights along the axis y = 0, ``[n]``. summit: the only critical point, ``[2]``,
            and its height ``top``.
        wrong, around, right: descents from the wrong side on the axis, from the wrong side off the
            axis, and from the right side on the axis.
    """

    land: Ground
    x: Array
    section: Array
    summit: Array
    top: float
    wrong: Track
    around: Track
    right: Track


class MountainFigure(Figure[Mountain]):
    """The section along the axis, and the map with three descents."""

    number: ClassVar[str] = "8.4"
    title: ClassVar[str] = "Downhill is not toward the lowest ground"
    size: ClassVar[tuple[float, float]] = (9.0, 4.9)

    def compute(self) -> Mountain:
        on = surface("mountain")
        land = ground(on)
        x = np.linspace(-6.0, 6.0, 241)
        (summit,) = critical_points(on).points
        wrong, around, right = tracks(
            on,
            [
                contender("wrong side", (-1.0, 0.0), "sgd", lr=LR),
                contender("wrong side, beside the axis", (-0.5, 0.1), "sgd", lr=LR),
                contender("right side", (0.3, 0.0), "sgd", lr=LR),
            ],
            STEPS,
        )
        section = heights(on, np.stack([x, np.zeros_like(x)], axis=1))
        return Mountain(land, x, section, summit.point, summit.value, wrong, around, right)

    def caption(self, data: Mountain) -> str:
        return (
            "The function has neither a minimum nor a saddle, only two asymptotes, the lower one "
            "on the right, with a mountain between. "
            f"From the right side, gradient descent (ε = {LR:g}) falls below {signed(LOW)} after "
            f"{data.right.first_below(LOW)} steps. On the "
            f"wrong side each step downhill leads away from there: on the axis, {STEPS:,} steps "
            "end at a height of "
            f"{data.wrong.values[-1]:.2f}. Off the axis the descent goes around the mountain, on "
            "a path "
            f"{data.around.length / data.around.distance:.1f} times as long as the distance that "
            "it covers, and needs "
            f"{data.around.first_below(LOW):,} steps."
        )

    def numbers(self, data: Mountain) -> Mapping[str, Number]:
        numbers: dict[str, Number] = {
            "learning rate": LR,
            "steps": STEPS,
            "summit": data.summit.tolist(),
            "height of the summit": data.top,
        }
        for track in (data.wrong, data.around, data.right):
            reached = track.first_below(LOW)
            numbers[f"{track.label}: start"] = track.positions[0].tolist()
            numbers[f"{track.label}: end"] = track.positions[-1].tolist()
            numbers[f"{track.label}: height at the end"] = float(track.values[-1])
            numbers[f"{track.label}: length of the path, distance"] = [track.length, track.distance]
            numbers[f"{track.label}: steps until below {LOW:g}"] = (
                "never" if reached is None else reached
            )
        return numbers

    def draw(self, data: Mountain, page: Page) -> None:
        colors = page.colors
        left, right = page.sheet.subplots(1, 2)
        page.curves(left, "Along the axis, $y=0$", "$x$", "$f(x,0)$")
        left.plot(data.x, data.section, color=colors.palette[0], linewidth=2.0)
        left.set_xlim(-6.0, 6.0)
        left.set_ylim(-1.4, 2.7)
        chosen = {
            data.wrong.label: colors.palette[1],
            data.around.label: colors.palette[3],
            data.right.label: colors.palette[2],
        }
        page.contours(right, "From above", data.land, np.linspace(-1.0, 2.25, 14))
        right.set_aspect("equal")
        for track in (data.wrong, data.around, data.right):
            color = chosen[track.label]
            right.plot(*track.positions.T, color=color, linewidth=2.0, label=track.label)
            right.plot(*track.positions[0], "o", color=color, markersize=6)
            right.annotate(
                "",
                track.positions[-1],
                track.positions[-2] - 4.0 * (track.positions[-1] - track.positions[-2]),
                arrowprops={"arrowstyle": "-|>", "color": color},
            )
        for track, shift in ((data.wrong, 0.14), (data.right, 0.14)):
            # The path as a line above the section; with few steps it would be a polygon.
            x = np.linspace(track.positions[0, 0], track.positions[-1, 0], 100)
            on_axis = np.interp(x, data.x, data.section) + shift
            left.plot(x, on_axis, color=chosen[track.label], linewidth=1.8)
            left.plot(x[:1], on_axis[:1], "o", color=chosen[track.label], markersize=6)
        left.annotate(
            "starts on the wrong side\nand goes away",
            (-2.2, 1.2),
            (-5.8, 2.2),
            fontsize=8.5,
            color=chosen[data.wrong.label],
            va="center",
        )
        left.annotate(
            "starts on the right side",
            (0.6, 1.4),
            (1.0, 1.75),
            fontsize=8.5,
            color=chosen[data.right.label],
            va="center",
        )
        left.text(-5.8, 0.72, "asymptote at 1", fontsize=8.5, color=page.muted)
        left.text(5.8, -1.25, "asymptote at −1", fontsize=8.5, color=page.muted, ha="right")
        right.legend(
            loc="lower left",
            frameon=True,
            framealpha=0.85,
            facecolor=colors.background,
            edgecolor="none",
        )
