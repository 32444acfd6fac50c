"""Identity: square matrices start as the identity, so that signals pass unchanged."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import Initializer
from optlab.core.fields import number
from optlab.core.layout import Parameter
from optlab.core.lazy import torch


class Identity(Initializer):
    """Square weight matrices start as the identity times a gain, others as small normal weights.

    A recurrent network of rectifiers then keeps its state as long as nothing enters, and errors go
    back through any number of steps unchanged (IRNN).
    """

    name: ClassVar[str] = "identity"
    label: ClassVar[str] = "Identity (IRNN)"
    sort_order: ClassVar[int] = 16
    rule: ClassVar[tuple[str, ...]] = (
        r"W = \gamma I\quad \text{if square},\qquad W_{i,j} \sim N(0, \sigma^2)\quad"
        r" \text{otherwise}",
    )
    source: ClassVar[str] = (
        "Q. Le, N. Jaitly, G. Hinton (2015), A simple way to initialize recurrent networks of"
        " rectified linear units; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as torch.nn.init.eye_ on square matrices, each of several that lie above each other in"
        " one tensor; layers that are not square, and convolutions, are drawn."
    )

    gain: float = number(
        1.0,
        "Gain",
        symbol="γ",
        gt=0.0,
        log=True,
        slider=(0.1, 2.0),
        help="Factor of the identity.",
        why="1 keeps the state of a recurrent network; less forgets it, 0.01 for short memories.",
    )
    std: float = number(
        0.001,
        "Scale",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-4, 1.0),
        help="Standard deviation of the weights of matrices that are not square.",
        why="As in the paper.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        rows, *columns = parameter.shape
        rows //= parameter.stacked
        if columns == [rows]:
            one = self.gain * torch.eye(rows, dtype=torch.float64)
            return one.repeat(parameter.stacked, 1)
        return self.std * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
