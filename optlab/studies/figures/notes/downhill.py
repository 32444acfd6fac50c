"""Figure 4.1: the derivative shows which direction is downhill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optlab.objective.surface_objective import Array, picture, surface_batch_objective, tensor
from optlab.studies.figures.base import Figure, Number
from optlab.studies.figures.live import Track, contender, surface, tracks

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

LR = 0.25
STEPS = 12
_START = 1.8


@dataclass(frozen=True)
class Downhill:
    """The parabola ``f`` and its derivative ``slope`` at ``x``, all ``[n]``.

    Gradient descent from the left and from the right.
    """

    x: Array
    f: Array
    slope: Array
    from_left: Track
    from_right: Track


class DownhillFigure(Figure[Downhill]):
    """½x² with its derivative, and two descents that follow it."""

    number: ClassVar[str] = "4.1"
    title: ClassVar[str] = "Following the derivative downhill"
    size: ClassVar[tuple[float, float]] = (7.5, 5.2)

    def compute(self) -> Downhill:
        parabola = surface("parabola")
        (x,), f = picture(parabola, 201)
        slope = (
            surface_batch_objective(parabola, tensor(x[:, None]))
            .gradient(tensor(x[:, None]))[1]
            .numpy()[:, 0]
        )
        left, right = tracks(
            parabola,
            [
                contender("from the left", (-_START,), "sgd", lr=LR),
                contender("from the right", (_START,), "sgd", lr=LR),
            ],
            STEPS,
        )
        return Downhill(x, f, slope, left, right)

    def caption(self, data: Downhill) -> str:
        return (
            "Where the derivative f′ (dashed) is negative, a small step to the right goes "
            "downhill; where it is positive, a step to the "
            f"left does. Both descents take steps of −εf′ with ε = {LR:g}. The steps become "
            "shorter as the slope decreases, and vanish "
            f"where f′ = 0: after {STEPS} steps the distance to the minimum has fallen from "
            f"{_START:g} to "
            f"{abs(data.from_right.positions[-1, 0]):.2g}."
        )

    def numbers(self, data: Downhill) -> Mapping[str, Number]:
        return {
            "learning rate": LR,
            "steps": STEPS,
            "start on the left, on the right": [
                float(data.from_left.positions[0, 0]),
                float(data.from_right.positions[0, 0]),
            ],
            "end of either": [
                float(data.from_left.positions[-1, 0]),
                float(data.from_right.positions[-1, 0]),
            ],
            "factor of x in a step": float(
                data.from_right.positions[1, 0] / data.from_right.positions[0, 0]
            ),
            "height at the end": float(data.from_right.values[-1]),
        }

    def draw(self, data: Downhill, page: Page) -> None:
        colors = page.colors
        axes = page.sheet.subplots()
        page.curves(axes, "", "$x$", "")
        axes.axhline(0.0, color=page.muted, linewidth=0.8)
        axes.axvline(0.0, color=page.muted, linewidth=0.8, linestyle=":")
        axes.plot(
            data.x, data.f, color=colors.palette[0], linewidth=2.0, label=r"$f(x)=\frac{1}{2}x^2$"
        )
        axes.plot(
            data.x,
            data.slope,
            color=colors.palette[1],
            linewidth=1.6,
            linestyle="--",
            label=r"$f'(x)=x$",
        )
        for track in (data.from_left, data.from_right):
            x, f = track.positions[:, 0], track.values
            for start, end, before, after in zip(x[:4], x[1:5], f[:4], f[1:5], strict=True):
                axes.annotate(
                    "",
                    (end, after),
                    (start, before),
                    arrowprops={
                        "arrowstyle": "-|>",
                        "color": colors.palette[2],
                        "linewidth": 1.3,
                        "shrinkA": 3,
                        "shrinkB": 3,
                    },
                )
            axes.plot(
                x,
                f,
                "o",
                color=colors.palette[2],
                markersize=5,
                label="gradient descent" if track is data.from_left else None,
            )
        text_style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": 9,
            "bbox": {"facecolor": colors.background, "edgecolor": "none", "pad": 1.5},
        }
        axes.text(-0.98, 1.62, "$f'(x)<0$: go right", **text_style)
        axes.text(0.98, 1.98, "$f'(x)>0$: go left", **text_style)
        axes.annotate(
            "$f'(x)=0$: the minimum", (0.0, 0.0), (0.45, -0.9), ha="left", va="center",
            arrowprops={"arrowstyle": "-", "color": page.muted, "linewidth": 0.8, "shrinkB": 5, "relpos": (0.0, 0.8)},
        )  # fmt: skip
        axes.set_xlim(-2.0, 2.0)
        axes.set_ylim(-2.05, 2.15)
        axes.set_xticks(np.arange(-2.0, 2.1, 0.5))
        axes.legend(loc="lower right")
