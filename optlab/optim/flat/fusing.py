"""Fewer operations of the same rule, where rounding in another order does no harm.

Each operation reads and writes all values once, and that is what a step of a larger network
consists of. torch has operations that do two or three in one: ``x + a y`` and ``x + a y z``.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.numerics.traced_number import TracedNumber
from optlab.optim.flat.listing import Listing, Operand, Operation, Traced, listing


@functools.cache
def short_listing(
    rule: type[Rule],
    choices: tuple[tuple[str, Any], ...],
    numbers: tuple[str, ...],
    entries: tuple[str, ...],
    *,
    decays: bool,
    maximizes: bool,
) -> Listing | None:
    """Return a listing that computes the same up to rounding, with fewer operations.

    The arguments are those of :func:`~optlab.optim.flat.listing.listing`.
    """
    found = listing(rule, choices, numbers, entries, decays=decays, maximizes=maximizes)
    return None if found is None else _Fusing(found).result()


class _Fusing:
    """Operations that are taken together, in their order."""

    def __init__(self, found: Listing) -> None:
        self._listing = found
        self._made: dict[int, Operation] = {}
        self._uses = Counter(
            value
            for operation in found.operations
            for value in operation.operands
            if isinstance(value, int)
        )
        self._uses.update(
            value for value in (*found.state.values(), found.after) if isinstance(value, int)
        )

    def result(self) -> Listing:
        """Return the listing of what remains."""
        found = self._listing
        for operation in found.operations:
            self._made[operation.result] = self._joined(operation)
        after, scale = found.after, found.scale
        if found.move != "copy":
            after, scale = self._moved(after)
        return replace(
            found,
            operations=tuple(self._made[number] for number in sorted(self._made)),
            after=after,
            scale=scale,
        )

    def _joined(self, operation: Operation) -> Operation:
        """Return an operation that does what its operands' operations did, too."""
        name, operands = operation.name, operation.operands
        if name == "div" and not isinstance(operands[1], (str, int)):
            inverse = self._number(_quotient, 1.0, operands[1])
            operation = replace(operation, name="mul", operands=(operands[0], inverse))
        elif name in ("add", "sub") and isinstance(operands[1], (str, int)):
            operation = self._sum(operation)
        product = self._scaled(operation.operands[0])
        if product is None:
            return operation
        value, factor = product
        if operation.name == "mul" and not isinstance(operation.operands[1], (str, int)):
            both = self._number(operator.mul, factor, operation.operands[1])
            self._drop(operation.operands[0])
            return replace(operation, operands=(value, both))
        return operation

    def _sum(self, operation: Operation) -> Operation:
        """Return a sum or difference that multiplies its last operand itself."""
        orders = [operation.operands]
        if operation.name == "add":
            orders.append(operation.operands[::-1])
        for first, second in orders:
            product = self._scaled(second)
            if product is not None:
                self._drop(second)
                return replace(operation, operands=(first, product[0]), scale=product[1])
            maker = self._single(second)
            if maker is not None and maker.name == "mul" and maker.scale is None:
                left, right = maker.operands
                inner = self._scaled(left)
                factor: Operand = 1.0
                if inner is not None:
                    self._drop(left)
                    left, factor = inner
                if operation.name == "sub":
                    factor = self._number(operator.sub, 0.0, factor)
                self._drop(second)
                return replace(
                    operation, name="addcmul", operands=(first, left, right), scale=factor
                )
        return operation

    def _moved(self, after: str | int) -> tuple[str | int, Operand | None]:
        """Return by what, and with which factor, the parameters are moved."""
        product = self._scaled(after)
        if product is not None and isinstance(product[0], (str, int)):
            self._drop(after)
            return product[0], product[1]
        maker = self._single(after)
        if maker is not None and maker.name in ("mul", "div"):
            inner = self._scaled(maker.operands[0])
            if inner is not None:
                self._drop(maker.operands[0])
                operands = (inner[0], *maker.operands[1:])
                self._made[maker.result] = replace(maker, operands=operands)
                return after, inner[1]
        return after, None

    def _single(self, value: Operand) -> Operation | None:
        """Return the operation that made a value, if it is needed once."""
        if isinstance(value, int) and self._uses[value] == 1:
            return self._made.get(value)
        return None

    def _scaled(self, value: Operand) -> tuple[Operand, Operand] | None:
        """Return a value and the number it is multiplied by, if that is all that is done to it."""
        maker = self._single(value)
        if maker is None or maker.name != "mul" or isinstance(maker.operands[1], (str, int)):
            return None
        return maker.operands[0], maker.operands[1]

    def _drop(self, value: Operand) -> None:
        assert isinstance(value, int)
        del self._made[value]

    def _number(
        self, compute: Callable[[Any, Any], float], left: Operand, right: Operand
    ) -> Operand:
        """Return what is computed from two numbers."""
        numbers = self._listing.numbers

        def number(operand: Operand) -> Any:
            if isinstance(operand, Traced):
                return TracedNumber(numbers.values[operand.index], numbers, operand.index)
            return operand

        if isinstance(left, Traced) or isinstance(right, Traced):
            return Traced(numbers.computed(compute, number(left), number(right)).index)
        return float(compute(left, right))


def _quotient(left: float, right: float) -> float:
    """Return left / right as torch does: infinite where right is zero."""
    return left / right if right else math.copysign(math.inf, left)
