"""Pretraining by autoencoders: every hidden layer learns to reconstruct its inputs."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.pretraining._descent import by_autograd, descend
from optlab.catalogue.pretraining.base import Greedy, Layer, Learned
from optlab.core.fields import flag
from optlab.core.lazy import functional, torch


class AutoencoderPretraining(Greedy):
    """Each hidden layer is trained as the encoder of an autoencoder with one hidden layer.

    The inputs of the autoencoder are the activations of the previous layer; targets are not used.
    The decoder is linear and is discarded. With a linear encoder the optimal code spans the first
    principal components.
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
        "V, c": "decoder, which is discarded; the transpose of W_l if weights are tied",
        "h_l": "activations of hidden layer l",
        "d": "number of its inputs",
    }
    source: ClassVar[str] = (
        "Notes, unsupervised pretraining; Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle (2007)."
    )

    tied: bool = flag(
        False,
        "Tied weights",
        help="The decoder is the transpose of the encoder, so that both share one matrix.",
        why="The decoder is separate by default, because the outputs of sigmoid units are between"
        " 0 and 1 and need a different scale in the decoder.",
    )

    def learn(self, layer: Layer) -> Learned:
        def cost(tensors: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            code = layer.activate(functional.linear(x, tensors[0], tensors[1]))
            decoder = tensors[0].T if self.tied else tensors[3]
            return (functional.linear(code, decoder, tensors[2]) - x).square().mean()

        start = [layer.weight, layer.bias, torch.zeros_like(layer.x[0])]
        if not self.tied:
            # The decoder starts at the transpose of the encoder, so that it has the same scale and
            # needs no random draw.
            start.append(layer.weight.T.clone())
        tensors = descend(
            start, by_autograd(lambda parts, rows: cost(parts, layer.x[rows])), self, layer
        )
        with torch.no_grad():
            unexplained = float(
                cost(tensors, layer.x)
                / layer.x.var(dim=0, correction=0).mean().clamp_min(torch.finfo(layer.x.dtype).tiny)
            )
        return Learned(
            tensors[0],
            tensors[1],
            f"{unexplained:.2%} of the variance of its inputs is not reconstructed",
        )
