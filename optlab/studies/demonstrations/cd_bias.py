"""The bias of contrastive divergence on a Boltzmann machine small enough for exact results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core.fields import integer, number
from optlab.core.lazy import torch
from optlab.numerics.boltzmann import (
    Machine,
    exact_gradient,
    expected_cd_gradient,
    hidden_probabilities,
    visible_probabilities,
)
from optlab.objective.seeding import generator
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

_ROUNDING = 1e-9
"""Relative bias below which rounding error contributes."""


class CdBias(Demonstration):
    """The bias of the expected gradient of CD-k against the likelihood's, computed without sampling.

    The chain starts at the data and takes k steps instead of infinitely many. Its distribution over
    all states is computed exactly, so the result is the expectation itself. For large k the bias
    falls by a constant factor per step, the second largest eigenvalue of the chain's transition
    matrix: the larger the weights, the slower the chain mixes and the longer the bias lasts.
    """

    name: ClassVar[str] = "cd_bias"
    label: ClassVar[str] = "Bias of contrastive divergence"
    row: ClassVar[str] = "C16"
    sort_order: ClassVar[int] = 160
    rule: ClassVar[tuple[str, ...]] = (
        r"\text{bias}_k = \left\| E_{q_k}\left[\frac{\partial F}{\partial \theta}\right] - "
        r"E_{p}\left[\frac{\partial F}{\partial \theta}\right] \right\|"
        r" \sim \left|\lambda_2\right|^k",
    )
    symbols: ClassVar[dict[str, str]] = {
        "F": "free energy of a visible state",
        "q_k": "distribution of the chain after k steps from the data",
        "p": "distribution of the machine, the limit of q_k",
        "λ_2": "second largest eigenvalue of one step of the chain",
    }
    source: ClassVar[str] = (
        "Notes, section on inexact gradients; G. Hinton (2002); M. Carreira-Perpiñán, G. Hinton, "
        "On contrastive divergence learning (2005)."
    )
    note: ClassVar[str] = (
        "The curves end as straight lines: the bias falls by |λ₂| per step, more slowly for "
        "larger weights."
    )

    visible: int = integer(
        6,
        "Visible units",
        ge=1,
        le=10,
        slider=(2, 8),
        help="Units that represent data; all 2^n states are enumerated.",
    )
    hidden: int = integer(
        4, "Hidden units", ge=1, le=10, slider=(1, 8), help="Units of the hidden layer."
    )
    scale: float = number(
        1.0,
        "Scale of the weights",
        gt=0.0,
        log=True,
        slider=(0.1, 5.0),
        help="Standard deviation of the weights; half and twice this value are shown as well.",
    )
    examples: int = integer(
        20,
        "Examples",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 200),
        help=(
            "Number of random visible states used as data; each unit is on with a probability of "
            "70%."
        ),
    )
    largest: int = integer(
        20,
        "Largest k",
        symbol="k",
        ge=2,
        le=1000,
        log=True,
        slider=(2, 50),
        help="Maximum number of steps of the chain.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        source = generator(self.seed, stream("cd_bias"))
        v = (
            torch.rand(1, self.examples, self.visible, generator=source, dtype=torch.float64) < 0.7
        ).double()
        drawn = torch.randn(1, self.hidden, self.visible, generator=source, dtype=torch.float64)
        biases = [
            0.3 * torch.randn(1, units, generator=source, dtype=torch.float64)
            for units in (self.visible, self.hidden)
        ]
        rows: list[tuple[Cell, ...]] = []
        curves: list[Curve] = []
        scales = (0.5 * self.scale, self.scale, 2.0 * self.scale)
        figures: dict[str, float] = {}
        sentence = ""
        for index, scale in enumerate(scales):
            machine = Machine(scale * drawn, *biases)
            exact = _flat(exact_gradient(machine, v))
            rate = second_eigenvalue(machine)
            biases_by_k = []
            for k in range(1, self.largest + 1):
                estimate = _flat(expected_cd_gradient(machine, v, k))
                bias = float(np.linalg.norm(estimate - exact))
                biases_by_k.append(bias)
                size = float(np.linalg.norm(exact))
                cosine = float(estimate @ exact) / max(
                    float(np.linalg.norm(estimate)) * size, 1e-300
                )
                rows.append(
                    (
                        scale,
                        k,
                        bias,
                        bias / size,
                        float(np.degrees(np.arccos(min(1.0, max(-1.0, cosine))))),
                        rate,
                    )
                )
                progress.report((index + k / self.largest) / len(scales))
                if not progress.should_continue():
                    return
            k_axis = np.arange(1, self.largest + 1, dtype=np.float64)
            relative = numbers(biases_by_k) / np.linalg.norm(exact)
            curves.append(Curve(f"weights {scale:g}", k_axis, relative))
            # The law holds for large k, but not where the bias is mostly rounding error.
            late = max(1, int((relative > _ROUNDING).sum()) - 1)
            curves.append(
                Curve(
                    f"|λ₂|ᵏ, λ₂ = {rate:.3g}",
                    k_axis,
                    relative[late] * rate ** (k_axis - k_axis[late]),
                    style="predicted",
                )
            )
            last = float(relative[late] / relative[late - 1])
            figures |= {
                f"relative_bias_1 at {scale:g}": float(relative[0]),
                f"factor at {scale:g}": last,
                f"eigenvalue at {scale:g}": rate,
            }
            sentence += (
                f"{' ' if sentence else ''}For weights of scale {scale:g} the bias of CD-1 is "
                f"{relative[0]:.1%} of the gradient, that of CD-{self.largest} "
            )
            sentence += (
                f"{relative[-1]:.1e}; the last step above rounding error multiplies it by "
                f"{last:.4g}, and |λ₂| is {rate:.4g}."
            )
            done = (index + 1) / len(scales)
            plot = Plot(
                f"Relative bias over {counted(self.examples, 'example')}",
                Axis("k"),
                Axis("bias / gradient", log=True),
                tuple(curves),
            )
            headings = (
                "scale of the weights",
                "k",
                "bias",
                "bias / gradient",
                "angle to the gradient [°]",
                "second eigenvalue",
            )
            yield DemonstrationResult(table(headings, rows), (plot,), sentence, dict(figures), done)


def second_eigenvalue(machine: Machine) -> float:
    """Return the second largest absolute eigenvalue of one Gibbs step of a machine.

    The step is a matrix over all hidden states.
    """
    tops, ends = (_states(bias.shape[1]) for bias in (machine.hidden, machine.visible))
    down = _probabilities(visible_probabilities(machine, tops.unsqueeze(0))[0], ends)
    up = _probabilities(hidden_probabilities(machine, ends.unsqueeze(0))[0], tops)
    return float(torch.linalg.eigvals(down @ up).abs().sort(descending=True).values[1])


def _states(units: int) -> torch.Tensor:
    """Return all states of n binary units, ``[2ⁿ, n]``."""
    return (torch.arange(2**units).unsqueeze(1) >> torch.arange(units) & 1).double()


def _probabilities(p: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Return the probability ``[n, s]`` of each state of independent units.

    The states are ``[s, units]``; the units are on with probabilities ``p`` ``[n, units]``.
    """
    return torch.where(states > 0.5, p.unsqueeze(1), 1.0 - p.unsqueeze(1)).prod(dim=2)


def _flat(gradient: Machine) -> Array:
    return numbers(torch.cat([part.flatten() for part in gradient]))
