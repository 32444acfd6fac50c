"""A reading: all statistics of one step of an optimizer, tensor by tensor, left on their device.

Three moments make one. The end of the backward pass, as far as each parameter is concerned, gives
the gradient before anything clips it; the moment before the step, what the optimizer is given, the
weights, and the second moments that it has stored; the moment after the step, what has become of
the weights. Nothing here waits for a device: every number stays a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optlab.core.lazy import torch
from optlab.watch.rows import Column
from optlab.watch.tensors import NamedTensor, ranges

_HALF = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_SECOND_MOMENTS = ("exp_avg_sq", "square_avg")
"""Names under which optimizers store a moving average of squared gradients."""

MISSING = -1.0
"""Stands for a number that is not known: no statistic is negative."""

Emit = Callable[[Column, Any], None]


def norm(tensor: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean norm ``[]`` of a tensor of any shape; half precision cannot hold it."""
    exact = torch.float32 if str(tensor.dtype).partition(".")[2] in _HALF else None
    found: torch.Tensor = torch.linalg.vector_norm(tensor, dtype=exact)
    return found


def norms(tensors: Sequence[torch.Tensor], order: float = 2) -> list[torch.Tensor]:
    """Return the norms ``[]`` of tensors of any shape."""
    if not tensors:
        return []
    halves = any(str(tensor.dtype).partition(".")[2] in _HALF for tensor in tensors)
    found: Any = torch._foreach_norm(list(tensors), order, torch.float32 if halves else None)
    return list(found)


class Columns:
    """The series of one optimizer.

    Args:
        suffix: what tells its series from those of another optimizer.
        tensors: that it steps.
    """

    def __init__(self, suffix: str, tensors: Sequence[NamedTensor]) -> None:
        numbers = ranges(tensor.number for tensor in tensors)
        self.gradient = Column(f"gradient_norm_by_tensor{suffix}", numbers)
        self.applied = Column(f"applied_gradient_norm_by_tensor{suffix}", numbers)
        self.weight = Column(f"weight_norm_by_tensor{suffix}", numbers)
        self.update = Column(f"update_norm_by_tensor{suffix}", numbers)
        self.lost = Column(f"lost_share_by_tensor{suffix}", numbers)
        self.surprise = Column(f"gradient_surprise_by_tensor{suffix}", numbers)


class Reading:
    """What is known of the step that is being read.

    Args:
        tensors: that the optimizer steps, all of one device.
        columns: their series.
        missing: a number ``[]`` on that device that stands for "not known".
    """

    def __init__(
        self, tensors: Sequence[NamedTensor], columns: Columns, missing: torch.Tensor
    ) -> None:
        self._tensors = tensors
        self._columns = columns
        self._missing = missing
        self._at_backward: dict[int, torch.Tensor] = {}
        self._scale: torch.Tensor | None = None
        self._with_gradient: list[NamedTensor] = []
        self._applied: list[torch.Tensor] = []
        self._before: list[torch.Tensor] = []
        self._moments: list[torch.Tensor] = []
        self._with_moment: list[NamedTensor] = []

    def gradient_ready(self, tensor: NamedTensor) -> None:
        """Note the gradient of a parameter; that of the last backward pass counts."""
        gradient = tensor.parameter.grad
        if gradient is not None and is_plain(gradient):
            self._at_backward[tensor.number] = norm(gradient)

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
        self._scale = scale
        self._with_gradient = [
            tensor
            for tensor in self._tensors
            if tensor.parameter.grad is not None
            and is_plain(tensor.parameter.grad)
            and is_plain(tensor.parameter)
        ]
        gradients = [tensor.parameter.grad for tensor in self._with_gradient]
        self._applied = norms([gradient for gradient in gradients if gradient is not None])
        if applied_scale is not None:
            self._applied = [value / applied_scale for value in self._applied]
        self._before = [tensor.sample(tensor.parameter).clone() for tensor in self._with_gradient]
        stored = [(tensor, _second_moment(state, tensor)) for tensor in self._with_gradient]
        self._with_moment = [tensor for tensor, moment in stored if moment is not None]
        # Nothing stored is negative, so the sum is the norm of order 1.
        sums = norms([moment for _, moment in stored if moment is not None], 1)
        self._moments = [
            total * (moment_scale / tensor.parameter.numel())
            for tensor, total in zip(self._with_moment, sums, strict=True)
        ]

    def after_step(self, emit: Emit) -> None:
        """Emit the statistics as vectors ``[K]``, a number a tensor."""
        if not self._with_gradient and self._at_backward:
            # A closure has computed the gradients in the midst of the step.
            emit(self._columns.gradient, self._vector(self._unscaled()))
            return
        if not self._with_gradient:
            return
        after = [tensor.sample(tensor.parameter) for tensor in self._with_gradient]
        changes = list(torch._foreach_sub(after, self._before))
        gradient = {**self._numbered(self._with_gradient, self._applied), **self._unscaled()}
        emit(self._columns.gradient, self._vector(gradient))
        emit(
            self._columns.applied,
            self._vector(self._numbered(self._with_gradient, self._applied)),
        )
        for column, values in (
            (self._columns.weight, norms(after)),
            (self._columns.update, norms(changes)),
        ):
            scaled = [
                value if tensor.stride == 1 else value * tensor.factor
                for tensor, value in zip(self._with_gradient, values, strict=True)
            ]
            emit(column, self._vector(self._numbered(self._with_gradient, scaled)))
        emit(self._columns.lost, self._vector(self._lost(changes)))
        if self._with_moment:
            applied = self._numbered(self._with_gradient, self._applied)
            surprises = {
                tensor.number: applied[tensor.number].square() / (moment * tensor.parameter.numel())
                for tensor, moment in zip(self._with_moment, self._moments, strict=True)
            }
            emit(self._columns.surprise, self._vector(surprises))

    def _lost(self, changes: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
        """Return the share of weights with a gradient that the step has left as they were."""
        lost = {}
        for tensor, change in zip(self._with_gradient, changes, strict=True):
            gradient = tensor.parameter.grad
            if gradient is None:  # the optimizer has removed it
                continue
            pushed = tensor.sample(gradient) != 0
            count = torch.count_nonzero(pushed)
            unmoved = torch.count_nonzero(pushed & (change == 0))
            lost[tensor.number] = unmoved / count.clamp_min(1)
        return lost

    def _unscaled(self) -> dict[int, torch.Tensor]:
        scale = self._scale
        if scale is None:
            return self._at_backward
        return {number: value / scale for number, value in self._at_backward.items()}

    @staticmethod
    def _numbered(
        tensors: Sequence[NamedTensor], values: Sequence[torch.Tensor]
    ) -> dict[int, torch.Tensor]:
        return {tensor.number: value for tensor, value in zip(tensors, values, strict=True)}

    def _vector(self, values: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Return one number for each tensor, ``[K]``."""
        missing = self._missing
        found = [values.get(tensor.number, missing) for tensor in self._tensors]
        return torch.stack([value.to(missing.dtype) for value in found])


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
