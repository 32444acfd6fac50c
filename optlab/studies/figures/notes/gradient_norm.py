"""Figure 8.1: the norm of the gradient grows while the classification error falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optlab.experiment import Experiment
from optlab.objective.surface_objective import Array
from optlab.studies.figures.base import Figure, Number, moving_mean
from optlab.training.control import Replay
from optlab.training.events import SeriesBlock
from optlab.training.session import session

if TYPE_CHECKING:
    from optlab.studies.figures.page import Page

STEPS = 2000
EVERY = 50
"""Steps between two evaluations."""
WIDTH = 101
"""Number of steps averaged by the line."""
BATCH = 16
LR = 0.02
SEED = 1


@dataclass(frozen=True)
class GradientNorms:
    """A convolutional network on real images.

    Attributes:
        steps, norms: number of each step from 1, and the norm of its batch gradient, ``[K]``.
        smooth_steps, smooth: middle and mean of each :data:`WIDTH` neighbors, ``[K − WIDTH + 1]``.
        full_at, full_norms: steps taken, and the norm of the gradient on the full training set
            then, ``[F]``.
        at, error: steps taken, and the share of the validation set that is misclassified then,
            ``[E]``.
        parameters: of the network.
    """

    steps: Array
    norms: Array
    smooth_steps: Array
    smooth: Array
    full_at: Array
    full_norms: Array
    at: Array
    error: Array
    parameters: int

    @property
    def growth(self) -> float:
        """The smoothed norm at the end over that at the start."""
        return float(self.smooth[-1] / self.smooth[0])


class GradientNormFigure(Figure[GradientNorms]):
    """Gradient norm and validation error of one run, side by side."""

    number: ClassVar[str] = "8.1"
    title: ClassVar[str] = "Training does not reach a critical point"
    size: ClassVar[tuple[float, float]] = (9.0, 4.6)

    def compute(self) -> GradientNorms:
        experiment = Experiment.from_dict(
            {
                "seed": SEED,
                "dataset": {"name": "digits"},
                "model": {"name": "cnn"},
                "optimizer": {"name": "sgd", "lr": LR},
                "batches": {"name": "shuffled", "size": BATCH},
                "measures": {"evaluate_every": EVERY, "gradient_every": 4 * EVERY},
                "budget": {"steps": STEPS},
            }
        )
        collected: dict[str, list[tuple[Array, Array]]] = {
            "gradient_norm": [],
            "full_gradient_norm": [],
            "validation_error": [],
        }
        parameters = 0
        for event in session([experiment], Replay([])):
            parameters = getattr(event, "parameters", parameters)
            if isinstance(event, SeriesBlock):
                for name, parts in collected.items():
                    if name in event.series:
                        series = event.series[name]
                        parts.append(
                            (
                                series.steps.astype(np.float64),
                                series.values[:, 0].astype(np.float64),
                            )
                        )
        (steps, norms), (full_at, full_norms), (at, error) = (
            tuple(np.concatenate([part[column] for part in parts]) for column in (0, 1))
            for parts in collected.values()
        )
        half = (WIDTH - 1) // 2
        smooth_steps = steps[half : len(steps) - half]
        return GradientNorms(
            steps,
            norms,
            smooth_steps,
            moving_mean(norms, WIDTH),
            full_at,
            full_norms,
            at,
            error,
            parameters,
        )

    def caption(self, data: GradientNorms) -> str:
        full = data.full_norms
        return (
            f"A convolutional network with {data.parameters:,} parameters learns to classify "
            "handwritten digits (stochastic gradient "
            f"descent with batches of {BATCH}, ε = {LR:g}). Left: the gradient norm of each "
            f"step, and its mean over {WIDTH} steps, "
            f"which is {data.growth:.1f} times as large at the end as at the start; the "
            "connected dots are the norm of the gradient on "
            f"the full training set, {full[0]:.2g} at the start and {full[-1]:.2g} at the end. "
            "Right: meanwhile the error on validation "
            f"images falls from {data.error[0]:.0%} to {data.error[-1]:.0%}. Near a critical "
            "point the norm on the full training set "
            "would approach zero; the norm of a single step retains the noise of its batch."
        )

    def numbers(self, data: GradientNorms) -> Mapping[str, Number]:
        return {
            "data, model, optimizer": "digits, cnn, sgd",
            "parameters": data.parameters,
            "learning rate": LR,
            "batch": BATCH,
            "seed": SEED,
            "steps": len(data.steps),
            "smoothed gradient norm at the start, at the end": [
                float(data.smooth[0]),
                float(data.smooth[-1]),
            ],
            "growth": data.growth,
            "norm on the full training set at the start, at the end": [
                float(data.full_norms[0]),
                float(data.full_norms[-1]),
            ],
            "validation error at the start, at the end": [
                float(data.error[0]),
                float(data.error[-1]),
            ],
        }

    def draw(self, data: GradientNorms, page: Page) -> None:
        colors = page.colors
        left, right = page.sheet.subplots(1, 2)
        page.curves(left, "Gradient norm", "step", r"$\|g\|$")
        left.plot(
            data.steps,
            data.norms,
            ".",
            color=page.faint(colors.palette[0], 0.55),
            markersize=2.2,
            label="each step",
            rasterized=True,
        )
        left.plot(
            data.smooth_steps,
            data.smooth,
            color=colors.palette[1],
            linewidth=2.0,
            label=f"mean of {WIDTH} steps",
        )
        left.plot(
            data.full_at,
            data.full_norms,
            "o-",
            color=colors.palette[2],
            markersize=3,
            linewidth=1.6,
            label="full training set",
        )
        left.set_ylim(0.0, float(np.quantile(data.norms, 0.997)) * 1.05)
        left.legend(loc="upper left", markerscale=3)
        page.curves(right, "Validation error", "step", "share misclassified")
        right.plot(data.at, data.error, "o-", color=colors.palette[0], markersize=3, linewidth=1.6)
        right.set_ylim(0.0, 1.0)
        for axes in (left, right):
            axes.set_xlim(0.0, float(data.at[-1]))
