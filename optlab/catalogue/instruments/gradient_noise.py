"""Gradient noise: how far the gradient of a batch is from that of all data."""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Named,
    Quantity,
    Reading,
    StepContext,
    histogram,
    quartiles,
    schedule,
)
from optlab.core.lazy import torch


class GradientNoise(Instrument):
    """Standard error and signal-to-noise ratio of the batch gradient, from its examples.

    The gradient of a batch is a mean over examples, so its error falls with the square root of
    their number: half the error takes four times the batch. Where the signal is below the noise, a
    step is mostly random; a larger batch or a smaller rate then helps. Where it is far above, a
    smaller batch would do. The noise scale is the batch size at which signal and noise are equal.
    The distribution of the norms of the examples' gradients is recorded, too.

    In chains of affine layers the norm of an example's gradient follows from its activations and
    deltas, without the gradient itself. Other models treat each example of the batch as a separate
    run; with batch normalization, where examples depend on each other, each example takes a
    backward pass.
    """

    name: ClassVar[str] = "gradient_noise"
    label: ClassVar[str] = "Gradient noise"
    group: ClassVar[str] = "Noise"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"g = \frac{1}{m} \sum_i g_i,\quad "
        r"s^2 = \frac{1}{m (m - 1)} \sum_i \left\| g_i - g \right\|^2",
        r"\text{signal to noise:}\quad \frac{\left\| g \right\|}{s},\quad "
        r"\text{noise scale:}\quad \frac{m s^2}{\left\| g \right\|^2}",
        r"\text{an affine layer:}\quad \left\| g_i \right\|^2 = "
        r"\left\| \delta_i \right\|^2 \left( \left\| h_i \right\|^2 + 1 \right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "g_i": "gradient of the loss of example i, without weight decay",
        "m": "number of examples in the batch",
        "s": "standard error of g, as a length: the square root of the trace of its covariance",
        "δ_i, h_i": "gradient by the layer's outputs, and its inputs, for example i",
    }
    source: ClassVar[str] = (
        "Notes, batch and minibatch algorithms: the standard error of a mean; simple noise scale: "
        "S. McCandlish et al. (2018); norms from activations and deltas: I. Goodfellow (2015), "
        "Efficient per-example gradient computations."
    )
    of_examples: ClassVar[bool] = True
    keeps_tensors: ClassVar[bool] = False
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("standard_error", "Standard error of the gradient", log=True),
        Quantity("signal_to_noise", "Signal to noise", log=True),
        Quantity("noise_scale", "Noise scale", log=True),
        Quantity("norms", "Norms of the examples' gradients", log=True, vector=True),
    )
    draws: ClassVar[str] = "Histogram of the norms of the examples' gradients: edges and counts."

    every: int = schedule(
        5,
        "A reading costs half a step to one step where the layers allow it; each reading is a "
        "single draw, so many are needed to estimate the noise.",
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        squares, mean = context.examples_of_gradient()
        m = squares.shape[1]
        signal = torch.linalg.vector_norm(mean, dim=1).square_()
        # Rounding can make the difference of nearly equal numbers negative.
        variance = (
            squares.sum(dim=1).sub_(signal, alpha=m).clamp_min_(0.0).div_(m * (m - 1))
            if m > 1
            else torch.full_like(signal, float("nan"))
        )
        error, norms = variance.sqrt(), squares.sqrt()
        series: dict[str, torch.Tensor | Named] = {
            "standard_error": error,
            "signal_to_noise": signal.sqrt() / error,
            "noise_scale": m * variance / signal,
            "norms": quartiles(norms),
        }

        def draw() -> dict[str, torch.Tensor]:
            edges, counts = histogram(norms, min(24, max(4, m // 2)))
            return {"edges": edges, "counts": counts}

        return Reading(series, draw)

    def cost(self) -> str:
        return (
            "half a plain step to one for chains of affine layers, one to four for other models, "
            "one for each example with batch normalization"
        )
