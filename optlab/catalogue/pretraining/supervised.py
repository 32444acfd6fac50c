"""Supervised pretraining: every hidden layer is trained as if it were the last."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.pretraining._descent import by_autograd, descend
from optlab.catalogue.pretraining.base import Greedy, Layer, Learned
from optlab.core.fields import flag
from optlab.core.lazy import functional, torch


class SupervisedPretraining(Greedy):
    """Each hidden layer is trained on the actual task, with a temporary output layer on top.

    The previous layers are fixed. The method is greedy: each layer is optimal for a network that
    ends with it, not for the final network. Pretraining a network with one hidden layer is the same
    as training it.
    """

    name: ClassVar[str] = "supervised"
    label: ClassVar[str] = "Supervised, layer by layer"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"\min_{W_l, b_l, V, c}\ J\left(V \phi\left(W_l h_{l-1} + b_l\right) + c\right)",
        r"h_l = \phi\left(W_l h_{l-1} + b_l\right),\quad h_0 = x,\quad l = 1, 2, \ldots",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W_l, b_l": "hidden layer l",
        "V, c": "temporary output layer",
        "h_l": "activations of hidden layer l",
        "J": "the objective of the experiment",
    }
    source: ClassVar[str] = (
        "Notes, greedy supervised pretraining; Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle"
        " (2007)."
    )

    keep_head: bool = flag(
        True,
        "Keep the last output layer",
        help="Use the output layer that was trained with the last hidden layer; otherwise the"
        " output layer starts at the draw of the initializer.",
        why="It already fits the layers below, so the main training starts where pretraining"
        " ended.",
    )

    def learn(self, layer: Layer) -> Learned:
        def outputs(tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            weight, bias, head, head_bias = tensors
            return functional.linear(
                layer.activate(functional.linear(x, weight, bias)), head, head_bias
            )

        def cost(tensors: list[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
            return layer.cost(
                outputs(tensors, layer.x[rows]), layer.y[rows], [tensors[0], tensors[2]]
            )

        tensors = descend((layer.weight, layer.bias, *layer.head), by_autograd(cost), self, layer)
        with torch.no_grad():
            objective = float(
                layer.cost(outputs(tensors, layer.x), layer.y, [tensors[0], tensors[2]])
            )
        head = (tensors[2], tensors[3]) if self.keep_head else None
        return Learned(
            tensors[0], tensors[1], f"objective {objective:.4g} with a separate output layer", head
        )
