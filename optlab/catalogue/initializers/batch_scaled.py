"""Scaled on a minibatch: the scale of each layer is measured on data."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from optlab.catalogue.initializers import _drawn, _recurrent
from optlab.catalogue.initializers.base import InitializationContext, Initializer
from optlab.core.fields import choice, integer, number
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch


class BatchScaled(Initializer):
    """Normal weights, rescaled layer by layer to a chosen spread of pre-activations.

    Variances are measured instead of derived: a minibatch is passed through the network, and from
    the input up, the weights of each layer are divided by the standard deviation of its
    pre-activations. This works for any activation and any architecture whose layers expose their
    pre-activations. In a recurrent layer the term of the inputs and that of the state before are
    rescaled apart, gate by gate, as recurrent batch normalization does: each has half the variance,
    over all steps of the sequences, because the same weights act at all of them.
    """

    name: ClassVar[str] = "batch_scaled"
    label: ClassVar[str] = "Scaled on a minibatch"
    short: ClassVar[str] = "Batch-scaled"
    sort_order: ClassVar[int] = 15
    rule: ClassVar[tuple[str, ...]] = (
        r"W_l \leftarrow \frac{\sigma}{s_l}\, W_l,\quad s_l = \text{std}\left(W_l h_{l-1}\right)",
        r"\text{std}\left(W x_t\right) = \text{std}\left(U h_{t-1}\right)"
        r" = \frac{\sigma}{\sqrt{2}} \quad\text{in a recurrent layer}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "h_{l-1}": "activations of the layer below, already rescaled",
        "s_l": "standard deviation over the units of layer l and the minibatch",
        "W x_t, U h_{t-1}": "terms of a gate, over its units, the minibatch and the steps",
    }
    source: ClassVar[str] = (
        "Notes, parameter initialization: scales from one minibatch; D. Mishkin, J. Matas (2016),"
        " LSUV: with an orthogonal first draw; T. Cooijmans et al. (2017), Recurrent Batch"
        " Normalization: the terms apart."
    )

    spread: float = number(
        1.0,
        "Spread",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Standard deviation of the pre-activations of every layer.",
        why="At 1 most activations are neither linear nor saturated.",
    )
    first: Literal["normal", "orthogonal"] = choice(
        "normal",
        "First draw",
        help="What is rescaled: normal weights, or orthogonal matrices (LSUV).",
        why="Orthogonal matrices keep all directions alike; both end with the same spread.",
    )
    examples: int = integer(
        128,
        "Minibatch",
        unit="examples",
        ge=2,
        le=65_536,
        log=True,
        slider=(2, 1024),
        help="Number of training examples that are passed through the network.",
    )

    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if self.first == "orthogonal":
            return _drawn.orthogonal_stack(parameter, generator)
        return torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / math.sqrt(
            parameter.fan_in
        )

    def adjusted(
        self,
        theta: torch.Tensor,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext,
    ) -> torch.Tensor:
        rows = torch.randperm(len(context.y), generator=generator)[: self.examples]
        theta = theta.clone()
        views = layout.named(theta.unsqueeze(0))  # views: changing them changes theta
        weights = {
            parameter.name: views[parameter.name]
            for parameter in layout.parameters
            if parameter.role == "weight"
        }
        _recurrent.rescale(theta, layout, rows, context, self.spread)
        for layer in context.traced(theta, rows):
            if f"{layer}.weight" in weights:
                spread = float(context.traced(theta, rows)[layer].std(correction=0))
                if 0.0 < spread < math.inf:
                    weights[f"{layer}.weight"] *= self.spread / spread
        return theta
