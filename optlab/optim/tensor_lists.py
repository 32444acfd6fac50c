"""Lists of tensors that an update rule computes with as with one tensor.

A step of an optimizer calls its rule once for many parameters: each operation of the rule becomes
one call of torch's ``_foreach_…``, which does for every tensor of the list what the operator does
for one. So the numbers have the same bits, and the interpreter's work no longer grows with the
number of parameters.

A list knows the operations below and no others. A rule that uses another one is applied to one
parameter after the other; :func:`understood` finds out once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core.hyperparameters import Hyperparameters

Operand = Any
"""A number, or a list with as many tensors."""


def _of(operand: Operand) -> Any:
    return operand.tensors if isinstance(operand, TensorList) else operand


class TensorList:
    """Tensors of the same type on the same device, and elementwise operations on them.

    Attributes:
        tensors: in the order of the parameters.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = list(tensors)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors, in the order and the shapes of the parameters, ``[*shape]`` each."""
        return self._tensors

    def __add__(self, other: Operand) -> TensorList:
        return TensorList(torch._foreach_add(self.tensors, _of(other)))

    __radd__ = __add__

    def __sub__(self, other: Operand) -> TensorList:
        return TensorList(torch._foreach_sub(self.tensors, _of(other)))

    def __mul__(self, other: Operand) -> TensorList:
        return TensorList(torch._foreach_mul(self.tensors, _of(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> TensorList:
        return TensorList(torch._foreach_div(self.tensors, _of(other)))

    def __neg__(self) -> TensorList:
        return TensorList(torch._foreach_neg(self.tensors))

    def sqrt(self) -> TensorList:
        """Return the square roots."""
        return TensorList(torch._foreach_sqrt(self.tensors))

    def sign(self) -> TensorList:
        """Return the signs."""
        return TensorList(torch._foreach_sign(self.tensors))

    def add_(self, other: Operand) -> Self:
        """Add in place."""
        torch._foreach_add_(self.tensors, _of(other))
        return self

    def sub_(self, other: Operand) -> Self:
        """Subtract in place."""
        torch._foreach_sub_(self.tensors, _of(other))
        return self

    def mul_(self, other: Operand) -> Self:
        """Multiply in place."""
        torch._foreach_mul_(self.tensors, _of(other))
        return self

    def div_(self, other: Operand) -> Self:
        """Divide in place."""
        torch._foreach_div_(self.tensors, _of(other))
        return self

    def sqrt_(self) -> Self:
        """Take the square roots in place."""
        torch._foreach_sqrt_(self.tensors)
        return self


class Iterates(TensorList):
    """The parameters themselves: a sum with them waits until it is known where it goes.

    It is nearly always the result of a rule, which the parameters then receive in place.
    """

    def __add__(self, other: Operand) -> TensorList:
        return Move(self, other, torch._foreach_add, torch._foreach_add_)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> TensorList:
        return Move(self, other, torch._foreach_sub, torch._foreach_sub_)


class Move(TensorList):
    """The parameters plus or minus something.

    Args:
        compute, apply: the operation, elsewhere and in place.
    """

    def __init__(
        self,
        iterates: Iterates,
        by: Operand,
        compute: Callable[..., Any],
        apply: Callable[..., Any],
    ) -> None:
        super().__init__(())
        self._iterates = iterates
        self._by = by
        self._compute = compute
        self._apply = apply
        self._waits = True

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The result, ``[*shape]`` each, which is computed when it is first needed."""
        if self._waits:
            self._tensors = list(self._compute(self._iterates.tensors, _of(self._by)))
            self._waits = False
        return self._tensors

    def apply_to(self, iterates: Iterates) -> bool:
        """Move the parameters in place; return whether that gives the result."""
        if self._waits and iterates is self._iterates:
            self._apply(iterates.tensors, _of(self._by))
            return True
        return False


def assign(iterates: Iterates, after: TensorList) -> None:
    """Give parameters the values that a rule returned for them."""
    if not (isinstance(after, Move) and after.apply_to(iterates)):
        torch._foreach_copy_(iterates.tensors, after.tensors)


@functools.cache
def understood(rule: type[Rule]) -> bool:
    """Return whether a rule computes with lists as with tensors; a look-ahead does not."""
    if not rule.elementwise or rule.applied_to == "group" or rule.point is not Rule.point:
        return False
    one = torch.ones(1, 1, dtype=torch.float64)
    defaults = {field.name: field.default for field in rule.fields()}
    try:
        state = rule.begin(one, Hyperparameters(**defaults, step=1))
        after, fresh = rule.update(  # a list stands for a tensor
            Iterates([one]),  # type: ignore[arg-type]
            TensorList([one]),  # type: ignore[arg-type]
            {name: TensorList([value]) for name, value in state.items()},  # type: ignore[misc]
            Hyperparameters(**defaults, step=1),
        )
    except (TypeError, AttributeError):
        return False
    return all(isinstance(value, TensorList) for value in (after, *fresh.values()))
