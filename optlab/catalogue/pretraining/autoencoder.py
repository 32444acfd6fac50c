"""Pretraining by autoencoders: every hidden layer learns to keep what is needed to reconstruct its
inputs.
"""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.pretraining._descent import by_autograd, descend
from optlab.catalogue.pretraining.base import Greedy, Layer, Learned
from optlab.core.fields import flag
from optlab.core.lazy import functional, torch


class AutoencoderPretraining(Greedy):
    """Each hidden layer is the encoder of an autoencoder of one layer, whose inputs are the
    activations of the layer before.

    No targets are looked at. The decoder is linear and is thrown away; with a linear encoder the
    best code spans the first principal components.
    """

    name: ClassVar[str] = "autoencoder"
    label: ClassVar[str] = "Autoencoders, layer by layer"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"\min\ E \left\Vert V \phi\left(W_l h_{l-1} + b_l\right) + c - h_{l-1} \right\Vert^2 / d",
        r"h_l = \phi\left(W_l h_{l-1} + b_l\right),\quad h_0 = x,\quad l = 1, 2, \ldots",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W_l, b_l": "hidden layer l",
        "V, c": "decoder, thrown away; the transpose of W_l where it is tied",
        "h_l": "activations of hidden layer l",
        "d": "number of its inputs",
    }
    source: ClassVar[str] = (
        "Notes, unsupervised pretraining; Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle (2007)."
    )

    tied: bool = flag(
        False,
        "Tied weights",
        help="The decoder is the transpose of the encoder, so that both have one matrix.",
        why="Free decoders, because a layer of sigmoids has outputs between 0 and 1 and needs another scale on the way back.",
    )

    def learn(self, layer: Layer) -> Learned:
        def cost(tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            code = layer.activate(functional.linear(x, tensors[0], tensors[1]))
            decoder = tensors[0].T if self.tied else tensors[3]
            return (functional.linear(code, decoder, tensors[2]) - x).square().mean()

        start = [layer.weight, layer.bias, torch.zeros_like(layer.x[0])]
        if not self.tied:
            # A start that the encoder's draw determines: as wide as its own, and of no draw that
            # another run would have to share.
            start.append(layer.weight.T.clone())
        tensors = descend(
            start, by_autograd(lambda parts, rows: cost(parts, layer.x[rows])), self, layer
        )
        with torch.no_grad():
            reached = float(
                cost(tensors, layer.x)
                / layer.x.var(dim=0, correction=0).mean().clamp_min(torch.finfo(layer.x.dtype).tiny)
            )
        return Learned(
            tensors[0], tensors[1], f"{reached:.2%} of its inputs' variance is not reconstructed"
        )
