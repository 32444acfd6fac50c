"""Orthogonal: random orthogonal matrices, which preserve norms."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers import _drawn
from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Orthogonal(Initializer):
    """Random orthogonal matrices times a gain.

    An orthogonal matrix preserves the norm of signals in the forward pass and of gradients in the
    backward pass, through any number of linear layers; the gain compensates for the activation.
    """

    name: ClassVar[str] = "orthogonal"
    label: ClassVar[str] = "Orthogonal"
    sort_order: ClassVar[int] = 14
    rule: ClassVar[tuple[str, ...]] = (r"W = \gamma\, Q,\quad Q^\top Q = I",)
    symbols: ClassVar[dict[str, str]] = {
        "Q": "random orthogonal matrix; if it is not square, the vectors along the shorter side"
        " are orthonormal"
    }
    source: ClassVar[str] = (
        "Notes, parameter initialization: initializing to random orthogonal matrices; A. Saxe et"
        " al. (2013)."
    )
    differences: ClassVar[str] = (
        "Same as torch.nn.init.orthogonal_ on each matrix; where several lie above each other in one"
        " tensor, as the gates of an LSTM or the projections of attention do, each is orthogonal."
    )

    gain: float = number(
        1.0,
        "Gain",
        symbol="γ",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Factor that multiplies all norms.",
        why="1 preserves norms through linear layers; √2 suits ReLU.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if parameter.stacked > 1:
            return self.gain * _drawn.orthogonal_stack(parameter, generator)
        rows = parameter.shape[0]
        columns = parameter.size // rows
        normal = torch.randn(
            (max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float64
        )
        q, r = torch.linalg.qr(normal)
        # Without the signs of the diagonal of R, Q is not uniform over the orthogonal matrices.
        q = q * r.diagonal().sign()
        matrix: torch.Tensor = q if rows >= columns else q.t()
        return self.gain * matrix.reshape(parameter.shape)
