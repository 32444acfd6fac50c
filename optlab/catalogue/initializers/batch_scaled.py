"""Scaled on a minibatch: every layer's scale is read off what it does to data."""

from __future__ import annotations

import math
from typing import ClassVar

from optlab.catalogue.initializers.base import InitializationContext, Initializer
from optlab.core.fields import integer, number
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch


class BatchScaled(Initializer):
    """A normal draw whose layers are rescaled one after another until their pre-activations on one
    minibatch have a chosen spread.

    Instead of reasoning about variances the layers are looked at: from the input up, a minibatch is
    passed through the network, and the weights of the layer are divided by the standard deviation
    of its pre-activations. It works for any activation and any architecture whose layers show their
    pre-activations; recurrent weights, whose effect is not one layer's, keep the draw.
    """

    name: ClassVar[str] = "batch_scaled"
    label: ClassVar[str] = "Scaled on a minibatch"
    sort_order: ClassVar[int] = 15
    rule: ClassVar[tuple[str, ...]] = (
        r"W_l \leftarrow \frac{\sigma}{s_l}\, W_l,\quad s_l = \text{std}\left(W_l h_{l-1}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "h_{l-1}": "activations of the layer below, already rescaled",
        "s_l": "over the units of layer l and the minibatch",
    }
    source: ClassVar[str] = (
        "Notes, parameter initialization: scales from one minibatch; D. Mishkin, J. Matas (2016), LSUV, without its orthogonal first draw."
    )

    spread: float = number(
        1.0,
        "Spread",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Standard deviation that the pre-activations of every layer get.",
        why="At 1 most activations are neither linear nor saturated.",
    )
    examples: int = integer(
        128,
        "Minibatch",
        unit="examples",
        ge=2,
        le=65_536,
        log=True,
        slider=(2, 1024),
        help="Training examples that are passed through the network.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / math.sqrt(
            parameter.fan_in
        )

    def adjusted(
        self,
        theta: torch.Tensor,
        layout: Layout,
        generator: torch.Generator,
        initialization_context: InitializationContext,
    ) -> torch.Tensor:
        rows = torch.randperm(len(initialization_context.y), generator=generator)[: self.examples]
        theta = theta.clone()
        views = layout.named(theta.unsqueeze(0))  # what is done to them is done to theta
        weights = {
            parameter.name: views[parameter.name]
            for parameter in layout.parameters
            if parameter.role == "weight"
        }
        for layer in initialization_context.traced(theta, rows):
            if f"{layer}.weight" in weights:
                spread = float(initialization_context.traced(theta, rows)[layer].std(correction=0))
                if 0.0 < spread < math.inf:
                    weights[f"{layer}.weight"] *= self.spread / spread
        return theta
