"""A reading: all statistics of one step of an optimizer, tensor by tensor, left on their device.

Three moments make one. The end of the backward pass, as far as each parameter is concerned, gives
the gradient before anything clips it; the moment before the step, what the optimizer is given, the
weights, and the second moments that it has stored; the moment after the step, what has become of
the weights. Nothing here waits for a device: every number stays a tensor, and what follows from the
numbers is left to the writer's thread (:mod:`optlab.watch.raw_reading`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optlab.core.lazy import torch
from optlab.watch.tensors import MAX_EXACT, NamedTensor

_HALF = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_SECOND_MOMENTS = ("exp_avg_sq", "square_avg")
"""Names under which optimizers store a moving average of squared gradients."""

_PACK = 2**20
"""Elements that are compared in one call, of which the copies have to find room."""


def norms(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the Euclidean norms ``[]`` of tensors of any shape; half precision cannot hold them."""
    if not tensors:
        return []
    halves = any(_is_half(tensor) for tensor in tensors)
    found: Any = torch._foreach_norm(list(tensors), 2, torch.float32 if halves else None)
    return list(found)


def sums(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the sums ``[]`` of tensors (any shape) without a negative element."""
    if not tensors:
        return []
    if tensors[0].is_cpu:
        return [t.sum(dtype=torch.float32 if _is_half(t) else None) for t in tensors]
    # One call for all, which on a CPU is several times as slow as the sums.
    exact = torch.float32 if any(_is_half(tensor) for tensor in tensors) else None
    found: Any = torch._foreach_norm(list(tensors), 1, exact)
    return list(found)


def _is_half(tensor: torch.Tensor) -> bool:
    return str(tensor.dtype).partition(".")[2] in _HALF


class Reading:
    """What is known of the step that is being read.

    What has to be compared element by element lies one tensor behind the other, in packs: a call of
    torch costs as much as some thousand elements.

    Args:
        tensors: that the optimizer steps, all of one device.
        missing: a number ``[]`` on that device that stands for "not known".
        zero: likewise.
    """

    def __init__(
        self, tensors: Sequence[NamedTensor], missing: torch.Tensor, zero: torch.Tensor
    ) -> None:
        self._tensors = tensors
        self._missing = missing
        self._zero = zero
        self._at_backward: dict[int, torch.Tensor] = {}
        self._with_gradient: list[NamedTensor] = []
        self._applied: dict[int, torch.Tensor] = {}
        self._packs: list[_Pack] = []
        self._moments: dict[int, torch.Tensor] = {}
        self._scales = [missing, missing, missing]

    def gradients_ready(self, tensors: Sequence[NamedTensor]) -> None:
        """Note the gradients of parameters; those of the last backward pass count."""
        found = {
            tensor.number: gradient
            for tensor in tensors
            if (gradient := tensor.parameter.grad) is not None and is_plain(gradient)
        }
        self._at_backward.update(zip(found, norms(list(found.values())), strict=True))

    def before_step(
        self,
        state: Mapping[Any, Any],
        moment_scale: float,
        scale: torch.Tensor | None,
        applied_scale: torch.Tensor | None,
    ) -> None:
        """Note what the optimizer is given.

        Args:
            state: of the optimizer, parameter → names → values.
            moment_scale: what stored second moments are multiplied by, to correct their bias.
            scale: ``[]``, by which a gradient scaler has multiplied the loss; None without one.
            applied_scale: ``[]``, by which the gradients are still multiplied; None without one.
        """
        self._with_gradient = []
        gradients = {}
        for tensor in self._tensors:
            gradient = tensor.parameter.grad
            if gradient is not None and is_plain(gradient) and is_plain(tensor.parameter):
                self._with_gradient.append(tensor)
                gradients[tensor.number] = gradient
        self._applied = dict(zip(gradients, norms(list(gradients.values())), strict=True))
        self._packs = [_Pack(tensors) for tensors in _packed(self._with_gradient)]
        moments = {
            tensor.number: moment
            for tensor in self._with_gradient
            if (moment := _second_moment(state, tensor)) is not None
        }
        self._moments = dict(zip(moments, sums(list(moments.values())), strict=True))
        self._scales = [
            self._missing if scale is None else scale.reshape(()),
            self._missing if applied_scale is None else applied_scale.reshape(()),
            torch.full_like(self._missing, moment_scale) if moments else self._missing,
        ]

    def after_step(self) -> torch.Tensor | None:
        """Return a raw reading ``[7 * K + 3]``, as :mod:`optlab.watch.raw_reading` describes it.

        Returns:
            None if nothing is known.
        """
        if not self._with_gradient and not self._at_backward:
            return None
        compared = _Compared()
        for pack in self._packs:
            pack.compare(compared, self._zero)
        missing = self._missing
        found = [
            numbers.get(tensor.number, missing)
            for numbers in (
                self._at_backward,
                self._applied,
                compared.weights,
                compared.updates,
                compared.pushed,
                compared.unmoved,
                self._moments,
            )
            for tensor in self._tensors
        ]
        found += self._scales
        if any(value.dtype is not missing.dtype for value in found):
            found = [value.to(missing.dtype) for value in found]
        return torch.stack(found)


class _Compared:
    """What packs have found: numbers ``[]`` under the number of each tensor.

    Attributes:
        weights, updates: norms of what the step has left and of what it has changed.
        pushed, unmoved: of how many elements the gradient is not zero, and how many of those the
            step has left as they were.
    """

    def __init__(self) -> None:
        self.weights: dict[int, torch.Tensor] = {}
        self.updates: dict[int, torch.Tensor] = {}
        self.pushed: dict[int, torch.Tensor] = {}
        self.unmoved: dict[int, torch.Tensor] = {}


class _Pack:
    """Tensors of one precision as they are before a step, one behind the other."""

    def __init__(self, tensors: Sequence[NamedTensor]) -> None:
        self._tensors = tensors
        samples = [tensor.sample(tensor.parameter) for tensor in tensors]
        self._sizes = [len(sample) for sample in samples]
        self._before = torch.cat(samples)

    def compare(self, found: _Compared, zero: torch.Tensor) -> None:
        """Compare the tensors with what they are now; ``zero`` is a number ``[]``."""
        numbers = [tensor.number for tensor in self._tensors]
        change = torch.cat([tensor.sample(tensor.parameter) for tensor in self._tensors])
        found.weights.update(zip(numbers, norms(change.split(self._sizes)), strict=True))
        change -= self._before
        found.updates.update(zip(numbers, norms(change.split(self._sizes)), strict=True))
        # A conversion finds what is not zero several times as fast as a comparison.
        moved = change.bool()
        pushes, kept = [], []
        for place, tensor in enumerate(self._tensors):
            if tensor.parameter.grad is not None:  # else the optimizer has removed it
                pushes.append(tensor.sample(tensor.parameter.grad))
                kept.append(place)
        if not kept or not change.numel():
            return
        if len(kept) < len(numbers):
            parts = moved.split(self._sizes)
            moved = torch.cat([parts[place] for place in kept])
        pushed = torch.cat(pushes).bool()
        unmoved = moved.logical_not_().logical_and_(pushed)
        if type(unmoved) is torch.Tensor and unmoved.is_cpu and not unmoved.view(torch.int8).max():
            # Nothing is lost, and nothing has to be counted.
            nothing = {numbers[place]: zero for place in kept}
            found.pushed.update(nothing)
            found.unmoved.update(nothing)
            return
        sizes = [self._sizes[place] for place in kept]
        for place, of_pushed, of_unmoved in zip(
            kept, pushed.split(sizes), unmoved.split(sizes), strict=True
        ):
            found.pushed[numbers[place]] = of_pushed.sum(dtype=zero.dtype)
            found.unmoved[numbers[place]] = of_unmoved.sum(dtype=zero.dtype)


def _packed(tensors: Sequence[NamedTensor]) -> list[list[NamedTensor]]:
    """Return tensors in packs: of one precision each, and of a size whose copies are small."""
    packs: list[list[NamedTensor]] = []
    open_packs: dict[torch.dtype, tuple[list[NamedTensor], int]] = {}
    for tensor in tensors:
        dtype = tensor.parameter.dtype
        size = min(tensor.parameter.numel(), MAX_EXACT)
        pack, filled = open_packs.get(dtype, ([], _PACK))
        if filled + size > _PACK:
            pack, filled = [], 0
            packs.append(pack)
        pack.append(tensor)
        open_packs[dtype] = pack, filled + size
    return packs


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor, of any shape, is dense and whole: neither sparse nor a shard."""
    return tensor.layout == torch.strided and not hasattr(tensor, "_local_tensor")


def _second_moment(state: Mapping[Any, Any], tensor: NamedTensor) -> torch.Tensor | None:
    stored = state.get(tensor.parameter)
    if not isinstance(stored, Mapping):
        return None
    for name in _SECOND_MOMENTS:
        moment = stored.get(name)
        if isinstance(moment, torch.Tensor) and moment.is_floating_point() and is_plain(moment):
            # A rule that factors it stores something of another shape.
            return moment if moment.shape == tensor.parameter.shape else None
    return None
