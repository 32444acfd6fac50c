"""Numbers that differ from step to step, found again in the recorded operations.

``1 − β₁^k`` reaches torch as a plain number, which does not say that it depends on the step. A rule
whose operations are recorded therefore gets *traced* numbers: what is computed from them is noted,
so that the number of another step can be computed again without the rule.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from optlab.core.errors import OptLabError


class NotRepeatable(OptLabError):
    """The operations of a step cannot be recorded and repeated; the message says why."""


class Origin(NamedTuple):
    """How a traced number was computed.

    Attributes:
        compute: of two operands. left, right: plain numbers, or indices of traced ones.
    """

    compute: Callable[[Any, Any], float]
    left: float | int
    right: float | int
    left_is_traced: bool
    right_is_traced: bool


class Numbers:
    """The traced numbers of one recording.

    Args:
        hidden: whether torch sees NaN in place of each, so that one which it was given without
            notice is noticed by what it computes.
        other: whether this is the second of two recordings, which differ in their numbers so that
            these are not taken for constants.

    Attributes:
        values: in the order in which they came up. leaves: index → its name, of those that were not
            computed from others. origins: index → how it was computed, of the others.
    """

    def __init__(self, *, hidden: bool = False, other: bool = False) -> None:
        self.hidden, self.other = hidden, other
        self.values: list[float] = []
        self.leaves: dict[int, str] = {}
        self.origins: dict[int, Origin] = {}

    def leaf(self, name: str, value: float) -> TracedNumber:
        """Return a traced number of this value."""
        traced = self._next(value)
        self.leaves[traced.index] = name
        return traced

    def computed(self, compute: Callable[[Any, Any], float], left: Any, right: Any) -> TracedNumber:
        """Return what is computed from two numbers, at least one of them traced."""
        value = compute(_plain(left), _plain(right))
        if compute is max and self.other:
            # At the bound both recordings would have the same number, as if it were a constant.
            value = value * 1.25 + 1e-9
        traced = self._next(value)
        self.origins[traced.index] = Origin(
            compute,
            left.index if isinstance(left, TracedNumber) else left,
            right.index if isinstance(right, TracedNumber) else right,
            isinstance(left, TracedNumber),
            isinstance(right, TracedNumber),
        )
        return traced

    def _next(self, value: float) -> TracedNumber:
        self.values.append(float(value))
        return TracedNumber(value, self, len(self.values) - 1)

    def evaluated(self, wanted: Iterable[int], leaves: Mapping[str, float]) -> dict[int, float]:
        """Return index → value for other leaves, of the numbers ``wanted``.

        Args:
            leaves: name → value.
        """
        values: dict[int, float] = {}
        for index in wanted:
            self._evaluate(index, leaves, values)
        return values

    def depends(self, index: int, name: str) -> bool:
        """Return whether a number was computed from the leaf of this name."""
        if index in self.leaves:
            return self.leaves[index] == name
        origin = self.origins[index]
        return (origin.left_is_traced and self.depends(int(origin.left), name)) or (
            origin.right_is_traced and self.depends(int(origin.right), name)
        )

    def _evaluate(self, index: int, leaves: Mapping[str, float], values: dict[int, float]) -> float:
        if index not in values:
            if index in self.leaves:
                values[index] = leaves[self.leaves[index]]
            else:
                compute, left, right, left_is_traced, right_is_traced = self.origins[index]
                values[index] = compute(
                    self._evaluate(int(left), leaves, values) if left_is_traced else left,
                    self._evaluate(int(right), leaves, values) if right_is_traced else right,
                )
        return values[index]


class TracedNumber(float):
    """A number that notes what is computed from it.

    Raises:
        NotRepeatable: a decision depends on it, or it is converted to another type.
    """

    numbers: Numbers
    index: int
    plain: float

    def __new__(cls, value: float, numbers: Numbers, index: int) -> TracedNumber:
        self = super().__new__(cls, math.nan if numbers.hidden else value)
        # A step is a whole number, and some operations make a difference.
        self.numbers, self.index, self.plain = numbers, index, value
        return self

    def clamp(self, *, min: float) -> TracedNumber:
        """Return the number, or ``min`` where that is greater, as tensors do."""
        return self.numbers.computed(max, self, min)

    def _refuse(self, *_: Any) -> Any:
        raise NotRepeatable("a decision of the rule depends on the step or on its rate")

    __bool__ = __int__ = __float__ = __index__ = __round__ = __trunc__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _refuse
    __abs__ = __floor__ = __ceil__ = _refuse


def _plain(value: Any) -> Any:
    return value.plain if isinstance(value, TracedNumber) else value


def _noted(compute: Callable[[Any, Any], Any], *, reflected: bool) -> Callable[[Any, Any], Any]:
    def method(self: TracedNumber, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        left, right = (other, self) if reflected else (self, other)
        return self.numbers.computed(compute, left, right)

    return method


def _negated(self: TracedNumber) -> TracedNumber:
    return self.numbers.computed(operator.sub, 0.0, self)


setattr(TracedNumber, "__neg__", _negated)  # noqa: B010 - as the others below
for _name, _compute in {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
}.items():
    setattr(TracedNumber, f"__{_name}__", _noted(_compute, reflected=False))
    setattr(TracedNumber, f"__r{_name}__", _noted(_compute, reflected=True))
