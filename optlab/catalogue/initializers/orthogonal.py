"""Orthogonal: a random rotation, so that norms are kept."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Orthogonal(Initializer):
    """Random orthogonal matrices times a gain.

    An orthogonal matrix keeps the length of every signal on the way up and of every gradient on the
    way down, through any number of linear layers; the gain makes up for what the activation takes.
    """

    name: ClassVar[str] = "orthogonal"
    label: ClassVar[str] = "Orthogonal"
    sort_order: ClassVar[int] = 14
    rule: ClassVar[tuple[str, ...]] = (r"W = \gamma\, Q,\quad Q^\top Q = I",)
    symbols: ClassVar[dict[str, str]] = {
        "Q": "random orthogonal; of a matrix that is not square, the shorter side's vectors are orthonormal"
    }
    source: ClassVar[str] = (
        "Notes, parameter initialization: initializing to random orthogonal matrices; A. Saxe et al. (2013)."
    )
    differences: ClassVar[str] = "As torch.nn.init.orthogonal_."

    gain: float = number(
        1.0,
        "Gain",
        symbol="γ",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Factor on all norms.",
        why="1 keeps norms through linear layers; √2 suits ReLU.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        rows = parameter.shape[0]
        columns = parameter.size // rows
        normal = torch.randn(
            (max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float64
        )
        q, r = torch.linalg.qr(normal)
        # Without the signs of R's diagonal Q would not be uniform over the orthogonal matrices.
        q = q * r.diagonal().sign()
        matrix: torch.Tensor = q if rows >= columns else q.t()
        return self.gain * matrix.reshape(parameter.shape)
