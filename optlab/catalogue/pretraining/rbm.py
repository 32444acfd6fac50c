"""Pretraining by restricted Boltzmann machines: layers learn the distribution of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from optlab.catalogue.pretraining._descent import descend
from optlab.catalogue.pretraining.base import Greedy, Layer, Learned
from optlab.core.errors import InvalidInput
from optlab.core.fields import integer
from optlab.core.lazy import torch
from optlab.numerics import boltzmann
from optlab.numerics.boltzmann import Machine


class BoltzmannPretraining(Greedy):
    """Each hidden layer is trained as a restricted Boltzmann machine by contrastive divergence.

    Targets are not used. Inputs are probabilities of visible units, so they must be between 0 and
    1; the probability of a hidden unit is the sigmoid that the network computes, so the hidden
    layers must have sigmoid units. The biases of visible units start at the log odds of the means
    of the inputs and are discarded.
    """

    name: ClassVar[str] = "rbm"
    label: ClassVar[str] = "Boltzmann machines, layer by layer"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        r"E(v, h) = -b^\top v - c^\top h - h^\top W v",
        r"g_W = E\left[\hat{h}^{(k)} v^{(k)\top}\right] - E\left[\hat{h}^{(0)} "
        r"v^{(0)\top}\right],\quad v^{(0)} = h_{l-1}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "v^{(k)}": "visible units after k Gibbs steps",
        "ĥ": "probabilities of the hidden units",
        "W, c": "weights and biases of hidden layer l",
    }
    source: ClassVar[str] = (
        "Notes, unsupervised pretraining; G. Hinton, S. Osindero, Y. Teh (2006); G. Hinton (2010)"
        " for the visible biases."
    )

    k: int = integer(
        1,
        "Gibbs steps",
        symbol="k",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 100),
        help="Number of Gibbs steps of each chain, which starts at an example.",
        why="One step is biased, but the direction is useful; every further step costs as much as"
        " the first.",
    )

    def refusal(self, activation: str) -> str:
        if activation == "sigmoid":
            return ""
        return (
            "pretraining.name is 'rbm', which trains layers of sigmoid units, but model.activation"
            f" is {activation!r}; use sigmoid, or another pretraining."
        )

    def learn(self, layer: Layer) -> Learned:
        check_unit_range(layer)
        uniform = layer.generator("chain")

        def gradient(tensors: list[torch.Tensor], rows: torch.Tensor) -> Sequence[torch.Tensor]:
            machine, v = (
                Machine(*(tensor.unsqueeze(0) for tensor in tensors)),
                layer.x[rows].unsqueeze(0),
            )
            end = boltzmann.chain(
                machine,
                v,
                self.k,
                lambda units: torch.rand(
                    1, len(rows), units, generator=uniform, dtype=torch.float64
                ),
            )
            return [part[0] for part in boltzmann.cd_gradient(machine, v, end)]

        visible = layer.x.mean(dim=0).clamp(0.01, 0.99).logit()
        tensors = descend((layer.weight, visible, layer.bias), gradient, self, layer)
        data = layer.x.unsqueeze(0)
        reconstructed = boltzmann.reconstruction(
            Machine(*(tensor.unsqueeze(0) for tensor in tensors)), data
        )
        return Learned(
            tensors[0],
            tensors[2],
            "mean squared reconstruction error"
            f" {float((reconstructed - data).square().mean()):.4g}",
        )


def check_unit_range(layer: Layer) -> None:
    """Check that the inputs of a layer can be probabilities.

    Raises:
        InvalidInput: an input is not between 0 and 1.
    """
    low, high = float(layer.x.min()), float(layer.x.max())
    if low < 0.0 or high > 1.0:
        raise InvalidInput(
            "pretraining.name is 'rbm', whose inputs are probabilities, but those of the training"
            f" set range from {low:.3g} to {high:.3g}; set dataset.unit_range to true.",
            "dataset.unit_range",
        )
