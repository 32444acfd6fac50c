"""The affine layers and convolutions that a closure calls, seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from optlab.numerics.kronecker import LayerFactors, layer_factors, layer_shapes
from optlab.optim.layouts import layout_of


class LayerCalls(TorchFunctionMode):
    """Notes inputs and outputs of calls of ``linear`` and ``conv2d`` with some parameters.

    It changes no value: zeros are added to the outputs, whose gradients are those by the outputs.

    Args:
        parameters: of the module, of any shapes ``[…]``.
    """

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._shapes = {shape.weight: shape for shape in layer_shapes(layout_of(parameters))}
        self._parameters = parameters
        self._index = {id(parameter): index for index, parameter in enumerate(parameters)}
        self._taken: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self._calls: dict[int, int] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, and note it if it is a layer."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        arguments = _ARGUMENTS.get(func)
        if arguments is None:
            return result
        named = {**dict(zip(arguments, args, strict=False)), **kwargs}
        index = self._index.get(id(named["weight"]))
        if index not in self._shapes:
            return result
        self._calls[index] = self._calls.get(index, 0) + 1
        has_bias = self._shapes[index].bias
        bias = named.get("bias")
        inputs = _inputs(func, named)
        if inputs is None or (bias is not (self._parameters[index + 1] if has_bias else None)):
            return result
        probe = torch.zeros_like(result, requires_grad=True)
        self._taken.append((index, inputs.detach(), probe))
        return result + probe

    def factors(self, total: torch.Tensor, examples: int) -> list[LayerFactors]:
        """Return the factors of the layers that were called once with all examples.

        Args:
            total: sum ``[]`` of the losses of the examples. examples: their number m.
        """
        if not self._taken:
            return []
        deltas = torch.autograd.grad(
            total, [probe for _, _, probe in self._taken], materialize_grads=True
        )
        return [
            layer_factors(
                self._shapes[index],
                inputs.unsqueeze(0),
                (delta.flatten(2).transpose(1, 2) if delta.dim() == 4 else delta).unsqueeze(0),
            )
            for (index, inputs, _), delta in zip(self._taken, deltas, strict=True)
            if self._calls[index] == 1 and len(delta) == examples
        ]


_ARGUMENTS: dict[Callable[..., Any], tuple[str, ...]] = {
    torch.nn.functional.linear: ("input", "weight", "bias"),
    torch.nn.functional.conv2d: (
        *("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    ),
}


def _inputs(func: Callable[..., Any], named: Mapping[str, Any]) -> torch.Tensor | None:
    """Return inputs ``[m, in]`` or ``[m, places, in]`` of a layer; None where it is another kind."""
    given: torch.Tensor = named["input"]
    if func is torch.nn.functional.linear:
        return given if given.dim() in (2, 3) else None
    padding = named.get("padding", 0)
    if named.get("groups", 1) != 1 or isinstance(padding, str) or given.dim() != 4:
        return None
    patches = torch.nn.functional.unfold(
        given,
        tuple(named["weight"].shape[2:]),
        dilation=named.get("dilation", 1),
        padding=padding,
        stride=named.get("stride", 1),
    )
    return patches.transpose(1, 2)
