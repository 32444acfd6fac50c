"""Second derivatives of a chain of layers, written out.

A small network spends most of a Hessian product in autograd's bookkeeping. Differentiating forward
and backward pass by hand along a direction (B. Pearlmutter, *Fast exact multiplication by the
Hessian*, 1994) leaves only the matrix products. Tensors have units first, ``[R, units, m]``, so
that the products need no transposed copies.
"""

from __future__ import annotations

from collections.abc import Sequence

from optlab.catalogue.models import _activations
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models.capabilities import Linearized, OutputHessian
from optlab.core.lazy import torch

Layer = tuple["torch.Tensor", "torch.Tensor | None"]
"""Weight ``[R, out, in]`` and bias ``[R, out]`` (or None) of one affine map."""


class LinearizedLayers(Linearized):
    """Affine maps with the same activation between them, at one point.

    Args:
        layers: weights and biases, from the input up.
        activation: name of the activation.
        x: inputs ``[R, m, in]``.
    """

    def __init__(self, layers: Sequence[Layer], activation: Activation, x: torch.Tensor) -> None:
        function, backward, second = (
            _activations.forward(activation),
            _activations.backward(activation),
            _activations.second(activation),
        )
        self._weights = [weight for weight, _ in layers]
        self._biased = [bias is not None for _, bias in layers]
        h = x.transpose(1, 2)
        self._inputs = [h]
        self._slopes: list[torch.Tensor | None] = []
        self._bends: list[torch.Tensor | None] = []
        for number, (weight, bias) in enumerate(layers):
            z = (
                torch.bmm(weight, h)
                if bias is None
                else torch.baddbmm(bias.unsqueeze(2), weight, h)
            )
            if number == len(layers) - 1:
                break
            h = function(z)
            self._slopes.append(
                None if activation == "identity" else backward(torch.ones_like(z), z, h)
            )
            self._bends.append(None if second is None else second(z, h))
            self._inputs.append(h)
        self.outputs = z.transpose(1, 2)
        self._inputs_across: list[torch.Tensor] = []
        self._weights_across: list[torch.Tensor] = []
        self._deltas: list[torch.Tensor] = []
        self._folds: list[torch.Tensor | None] = []

    def differentiate(self, delta: torch.Tensor) -> None:
        current = delta.transpose(1, 2)
        deltas, folds = [current], []
        # Views are kept, too: on small networks, making them is a part of what a product takes.
        self._inputs_across = [h.transpose(1, 2) for h in self._inputs]
        self._weights_across = [weight.transpose(1, 2) for weight in self._weights]
        for number in range(len(self._weights) - 1, 0, -1):
            before = torch.bmm(self._weights_across[number], current)
            slope, bend = self._slopes[number - 1], self._bends[number - 1]
            folds.append(None if bend is None else before * bend)
            current = before if slope is None else before * slope
            deltas.append(current)
        self._deltas, self._folds = deltas[::-1], folds[::-1]

    def gradient(self, out: list[torch.Tensor]) -> None:
        for number, (weight, bias) in enumerate(self._grouped(out)):
            torch.bmm(self._deltas[number], self._inputs_across[number], out=weight)
            if bias is not None:
                torch.sum(self._deltas[number], dim=2, out=bias)

    def squared_norms(self) -> torch.Tensor:
        # The term of an example is the outer product of its delta and its input.
        total: torch.Tensor | None = None
        for delta, h, biased in zip(self._deltas, self._inputs, self._biased, strict=True):
            inputs = h.square().sum(dim=1)
            layer = delta.square().sum(dim=1).mul_(inputs.add_(1.0) if biased else inputs)
            total = layer if total is None else total.add_(layer)
        assert total is not None, "there is a layer"
        return total

    def second_order(self, directions: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        first: torch.Tensor | None = None
        second: torch.Tensor | None = None
        for number, (weight, bias) in enumerate(self._grouped(directions)):
            z1 = _affine(weight, self._inputs[number], bias)
            z2: torch.Tensor | None = None
            if first is not None:
                z1 = torch.baddbmm(z1, self._weights[number], first)
                z2 = torch.bmm(weight, first).mul_(2.0)
            if second is not None:
                z2 = (
                    torch.bmm(self._weights[number], second)
                    if z2 is None
                    else torch.baddbmm(z2, self._weights[number], second)
                )
            if number == len(self._weights) - 1:
                break
            slope, bend = self._slopes[number], self._bends[number]
            first = z1 if slope is None else z1 * slope
            second = z2 if z2 is None or slope is None else z2 * slope
            if bend is not None:
                bent = z1.square().mul_(bend)
                second = bent if second is None else second + bent
        return z1.transpose(1, 2), (torch.zeros_like(z1) if z2 is None else z2).transpose(1, 2)

    def product(
        self,
        directions: list[torch.Tensor],
        output_hessian: OutputHessian,
        out: list[torch.Tensor],
    ) -> None:
        grouped = self._grouped(directions)
        moved, changes = self._pushed(grouped)
        delta = output_hessian(changes[-1].transpose(1, 2)).transpose(1, 2)
        targets = self._grouped(out)
        for number in range(len(self._weights) - 1, -1, -1):
            weight, bias = targets[number]
            torch.bmm(delta, self._inputs_across[number], out=weight)
            change = moved[number]
            if change is not None:
                weight.baddbmm_(self._deltas[number], change.transpose(1, 2))
            if bias is not None:
                torch.sum(delta, dim=2, out=bias)
            if number == 0:
                break
            before = torch.bmm(grouped[number][0].transpose(1, 2), self._deltas[number])
            before = before.baddbmm_(self._weights_across[number], delta)
            slope, fold = self._slopes[number - 1], self._folds[number - 1]
            delta = before if slope is None else before.mul_(slope)
            if fold is not None:
                delta = delta.addcmul_(fold, changes[number - 1])

    def gauss_newton_product(
        self,
        directions: list[torch.Tensor],
        output_matrix: OutputHessian,
        out: list[torch.Tensor],
    ) -> None:
        _, changes = self._pushed(self._grouped(directions))
        delta = output_matrix(changes[-1].transpose(1, 2)).transpose(1, 2)
        targets = self._grouped(out)
        for number in range(len(self._weights) - 1, -1, -1):
            weight, bias = targets[number]
            torch.bmm(delta, self._inputs[number].transpose(1, 2), out=weight)
            if bias is not None:
                torch.sum(delta, dim=2, out=bias)
            if number > 0:
                delta = torch.bmm(self._weights[number].transpose(1, 2), delta)
                slope = self._slopes[number - 1]
                delta = delta if slope is None else delta.mul_(slope)

    def _pushed(
        self, directions: list[Layer]
    ) -> tuple[list[torch.Tensor | None], list[torch.Tensor]]:
        """Return the derivatives along the directions of what each layer gets and of its ``z``.

        The first are ``[R, in, m]``, None for the inputs of the model, which do not change; the
        second ``[R, out, m]``.
        """
        moved: list[torch.Tensor | None] = [None]
        changes: list[torch.Tensor] = []
        for number, (weight, bias) in enumerate(directions):
            z1 = _affine(weight, self._inputs[number], bias)
            before = moved[number]
            if before is not None:
                z1 = torch.baddbmm(z1, self._weights[number], before)
            changes.append(z1)
            if number < len(self._weights) - 1:
                slope = self._slopes[number]
                moved.append(z1 if slope is None else z1 * slope)
        return moved, changes

    def _grouped(self, parts: list[torch.Tensor]) -> list[Layer]:
        """Group tensors in the layout's order to (weight, bias) of each layer."""
        layers: list[Layer] = []
        index = 0
        for biased in self._biased:
            layers.append((parts[index], parts[index + 1] if biased else None))
            index += 1 + biased
        return layers


def _affine(weight: torch.Tensor, h: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.bmm(weight, h) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, h)
