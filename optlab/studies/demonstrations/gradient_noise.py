"""Gradient noise: the standard error of the minibatch gradient against the batch size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core.data import Part
from optlab.core.errors import InvalidInput
from optlab.core.fields import Sizes, flag, integer, number, sizes
from optlab.core.lazy import torch
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._networks import Network, descents, network, optimizer
from optlab.studies.demonstrations._noise import Slope, batches, slope
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    counted,
    numbers,
    stream,
    table,
)

_EXAMPLES_AT_ONCE = 100


class GradientNoise(Demonstration):
    """Many minibatch gradients at chosen steps of a training: their standard error falls as 1/√m.

    A batch of m independent examples gives the full gradient with a standard error of σ/√m, where
    σ² is the variance of the gradients of single examples. A hundred times the work thus makes the
    gradient ten times as precise. A straight line is fitted to the measured errors on logarithmic
    axes and its slope is compared with −½. Batches without replacement do better, because the full
    set has no error: the factor is σ/√m times √((N − m)/(N − 1)).
    """

    name: ClassVar[str] = "gradient_noise"
    label: ClassVar[str] = "Gradient noise against batch size"
    row: ClassVar[str] = "B4"
    sort_order: ClassVar[int] = 10
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"\text{SE}(m) = \sqrt{E \left\| \hat{g}_m - g \right\|^2} = "
            r"\frac{\sigma}{\sqrt{m}},\quad \sigma^2 = \frac{1}{N} \sum_i \left\| g_i - g "
            r"\right\|^2"
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "g_i": "gradient of one example",
        "ĝ_m": "mean of those of a batch",
        "N": "number of training examples",
    }
    source: ClassVar[str] = (
        "Notes, section on minibatch algorithms; Deep Learning, (5.46) and section 8.1.3."
    )
    note: ClassVar[str] = (
        "The points lie on the dashed lines; the sentence below gives the slope and its interval."
    )

    at: Sizes = sizes(
        (1, 50, 500), "Steps", help="Numbers of training steps after which gradients are drawn."
    )
    largest: int = integer(
        512,
        "Largest batch",
        symbol="m",
        ge=4,
        le=100_000,
        log=True,
        slider=(16, 1024),
        help="Batch sizes are powers of two up to this one.",
    )
    draws: int = integer(
        500,
        "Draws",
        ge=10,
        le=100_000,
        log=True,
        slider=(50, 1000),
        help="Number of batches of each size that are drawn at each step.",
    )
    replacement: bool = flag(
        True,
        "With replacement",
        help="Whether an example can occur in a batch twice; off for batches as in an epoch.",
    )
    hidden: Sizes = sizes(
        (16,),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer of the network, which classifies digits.",
    )
    examples: int = integer(
        1000, "Examples", symbol="N", ge=20, le=1797, slider=(100, 1797), help="Training examples."
    )
    rate: float = number(
        0.1,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Rate of the training on all examples.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        if not self.replacement and self.largest > self.examples // 2:
            raise InvalidInput(
                (
                    f"largest is {self.largest}, but without replacement it must be at most half "
                    "of "
                    f"the {self.examples} examples."
                ),
                "largest",
            )
        made = self._network()
        theta = made.starts([self.seed], {"name": "he"})
        chosen = sorted(set(self.at))
        sizes_ = 2 ** np.arange(int(np.log2(self.largest)) + 1)
        rows: list[tuple[Cell, ...]] = []
        curves: list[Curve] = []
        slopes: list[tuple[int, float, Slope]] = []
        for step, taken in enumerate(
            descents(made.objective, made.x, made.y, theta, [optimizer("sgd", lr=self.rate)]),
            start=1,
        ):
            if not progress.should_continue():
                return
            if step not in chosen:
                continue
            each = per_example(made, taken.after)
            mean = each.mean(axis=0)
            sigma = float(np.sqrt(np.square(each - mean).sum(axis=1).mean()))
            rng = numpy_generator(self.seed, stream(f"gradient_noise/{step}"))
            squares = np.empty((len(sizes_), self.draws))
            for index, m in enumerate(sizes_.tolist()):
                drawn = batches(len(each), m, self.draws, rng, replace=self.replacement) @ each / m
                squares[index] = np.square(drawn - mean).sum(axis=1)
                if not progress.should_continue():
                    return
            predicted = self._predicted(sigma, numbers(sizes_))
            measured = np.sqrt(squares.mean(axis=1))
            error = squares.std(axis=1, ddof=1) / np.sqrt(self.draws) / (2.0 * measured)
            norm = float(np.linalg.norm(mean))
            rows += [
                (step, m, float(a), float(e), float(p), float(a / norm), norm)
                for m, a, e, p in zip(sizes_.tolist(), measured, error, predicted, strict=True)
            ]
            slopes.append((step, sigma, slope(sizes_.astype(np.float64), squares, rng)))
            curves += [
                Curve(f"step {step}", numbers(sizes_), measured, 1.96 * error),
                Curve(f"σ/√m, step {step}", numbers(sizes_), predicted, style="predicted"),
            ]
            done = len(slopes) / len(chosen)
            progress.report(done)
            yield self._result(rows, curves, slopes, done)
            if step == chosen[-1]:
                return

    def _network(self) -> Network:
        all_data = network(
            {"name": "digits"},
            {"name": "mlp", "hidden": list(self.hidden)},
            {"name": "cross_entropy"},
        )
        some = slice(0, self.examples)
        training = Part(all_data.training.x[some], all_data.training.y[some])
        return dataclasses.replace(
            all_data, training=training, x=all_data.x[some], y=all_data.y[some]
        )

    def _predicted(self, sigma: float, m: Array) -> Array:
        left = 1.0 if self.replacement else np.sqrt((self.examples - m) / (self.examples - 1))
        return numbers(sigma / np.sqrt(m) * left)

    def _result(
        self,
        rows: list[tuple[Cell, ...]],
        curves: list[Curve],
        slopes: list[tuple[int, float, Slope]],
        done: float,
    ) -> DemonstrationResult:
        sentence = " ".join(
            f"After {counted(step, 'step')}, σ = {sigma:.3g} and the fitted slope is "
            f"{fit.slope:.3f} (95% interval {fit.low:.3f} to {fit.high:.3f})."
            for step, sigma, fit in slopes
        ).replace("-", "−")
        if self.replacement:
            inside = sum(fit.low <= -0.5 <= fit.high for _, _, fit in slopes)
            sentence += f" The predicted −½ lies in {inside} of {counted(len(slopes), 'interval')}."
        headings = (
            "step",
            "batch size",
            "standard error",
            "error of it",
            "predicted",
            "relative to the gradient",
            "gradient norm",
        )
        plot = Plot(
            "Standard error of the gradient",
            Axis("batch size m", log=True),
            Axis("standard error", log=True),
            tuple(curves),
        )
        step, _, last = slopes[-1]
        return DemonstrationResult(
            table(headings, rows),
            (plot,),
            sentence,
            {"step": float(step), "slope": last.slope, "low": last.low, "high": last.high},
            done,
        )


def per_example(made: Network, theta: torch.Tensor) -> Array:
    """Return the gradient of each example at ``theta`` ``[1, P]``, ``[n, P]``.

    It is computed as n runs with the same parameters and one example each.
    """
    gradients = []
    for x, y in zip(made.x.split(_EXAMPLES_AT_ONCE), made.y.split(_EXAMPLES_AT_ONCE), strict=True):
        gradients.append(
            made.objective.value_and_gradient(
                theta.expand(len(x), -1), x.unsqueeze(1), y.unsqueeze(1)
            )[1]
        )
    return numbers(torch.cat(gradients))
