"""The operations of an update rule, listed without computing anything."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core.hyperparameters import Hyperparameters
from optlab.numerics.traced_number import NotRepeatable, Numbers, TracedNumber

THETA, GRADIENT = "theta", "gradient"
"""Names of what a rule is given besides its state, whose entries are ``state.`` and a name."""
STATE = "state."
DECAY, STEP = "decay of the gradient", "step"
"""Names of the numbers that are no fields of a rule."""


@dataclass(frozen=True)
class Traced:
    """A number that is computed from the hyperparameters: its index among those of the listing."""

    index: int


Operand = str | int | float | Traced
"""What an operation computed (its number), what the rule was given (its name), a plain number as a
``float``, or a traced one.
"""


@dataclass(frozen=True)
class Operation:
    """One operation of a rule. It may overwrite operands that nobody needs any more.

    Attributes:
        name: of the function of torch.
        operands: one or more.
        result: its number.
    """

    name: str
    operands: tuple[Operand, ...]
    result: int


@dataclass(frozen=True, eq=False)
class Listing:
    """What a rule does in a step. No two are the same, so that what is made of one can be cached.

    Attributes:
        operations: in their order.
        state: name of an entry → its new value.
        move: "add" or "sub" where the parameters are moved by ``after``, "copy" where ``after`` is
            their new value.
        after: a value.
        numbers: the traced numbers.
    """

    operations: tuple[Operation, ...]
    state: Mapping[str, str | int]
    move: str
    after: str | int
    numbers: Numbers

    @property
    def given(self) -> set[str]:
        """Names of what the rule was given and uses."""
        read = {
            operand
            for operation in self.operations
            for operand in operation.operands
            if isinstance(operand, str)
        }
        kept = {value for value in (*self.state.values(), self.after) if isinstance(value, str)}
        return read | kept


class _Tape:
    """The operations so far."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.operations: list[Operation] = []

    def operand(self, value: Any) -> Operand:
        if isinstance(value, Symbol):
            if value.tape is not self:
                raise NotRepeatable("a rule keeps values of another step")
            return value.value
        if isinstance(value, TracedNumber):
            return Traced(value.index)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise NotRepeatable(f"a rule computes with a {type(value).__name__}")

    def computed(self, name: str, *operands: Any) -> Symbol:
        number = len(self.operations)
        self.operations.append(Operation(name, tuple(map(self.operand, operands)), number))
        return Symbol(self, number)

    def in_place(self, name: str, target: Symbol, *operands: Any) -> None:
        if isinstance(target.value, str):
            raise NotRepeatable("a rule overwrites what it was given")
        target.value = self.computed(name, target, *operands).value


class Symbol:
    """Stands for a tensor while the operations of a rule are listed.

    It knows what :class:`~optlab.optim.tensor_lists.TensorList` knows.
    """

    def __init__(self, tape: _Tape, value: str | int) -> None:
        self.tape = tape
        self.value = value

    def __add__(self, other: Any) -> Symbol:
        return self.tape.computed("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Symbol:
        return self.tape.computed("sub", self, other)

    def __mul__(self, other: Any) -> Symbol:
        return self.tape.computed("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Symbol:
        return self.tape.computed("div", self, other)

    def __neg__(self) -> Symbol:
        return self.tape.computed("neg", self)

    def sqrt(self) -> Symbol:
        """Return the square root."""
        return self.tape.computed("sqrt", self)

    def sign(self) -> Symbol:
        """Return the sign."""
        return self.tape.computed("sign", self)

    def add_(self, other: Any) -> Self:
        """Add in place."""
        self.tape.in_place("add", self, other)
        return self

    def sub_(self, other: Any) -> Self:
        """Subtract in place."""
        self.tape.in_place("sub", self, other)
        return self

    def mul_(self, other: Any) -> Self:
        """Multiply in place."""
        self.tape.in_place("mul", self, other)
        return self

    def div_(self, other: Any) -> Self:
        """Divide in place."""
        self.tape.in_place("div", self, other)
        return self

    def sqrt_(self) -> Self:
        """Take the square root in place."""
        self.tape.in_place("sqrt", self)
        return self


@functools.cache
def listing(
    rule: type[Rule],
    choices: tuple[tuple[str, Any], ...],
    numbers: tuple[str, ...],
    entries: tuple[str, ...],
    *,
    decays: bool,
    maximizes: bool,
) -> Listing | None:
    """Return the operations of a step of a rule.

    Args:
        rule: the rule.
        choices: field → value of those that are no numbers.
        numbers: fields that are numbers, of any value.
        entries: of the state.
        decays: whether weight decay is added to the gradient.
        maximizes: whether the gradient is negated first.

    Returns:
        None where the operations depend on the numbers, or the rule does anything else than
        elementwise operations on what it is given.
    """
    try:
        first, second = (
            _listed(
                rule,
                dict(choices),
                {name: value / order for order, name in enumerate(numbers, 1)},
                step,
                entries,
                decays=decays,
                maximizes=maximizes,
            )
            for value, step in ((0.25, 3), (0.375, 5))
        )
    except (NotRepeatable, TypeError, AttributeError, KeyError, ArithmeticError):
        return None
    same = (
        first.operations == second.operations
        and first.state == second.state
        and (first.move, first.after) == (second.move, second.after)
    )
    return first if same and _separate(first) else None


def _listed(
    rule: type[Rule],
    choices: Mapping[str, Any],
    values: Mapping[str, float],
    step: int,
    entries: tuple[str, ...],
    *,
    decays: bool,
    maximizes: bool,
) -> Listing:
    numbers = Numbers()
    tape = _Tape(numbers)
    h = Hyperparameters(
        **choices, **{name: numbers.leaf(name, value) for name, value in values.items()}
    )
    h.step = numbers.leaf(STEP, step)
    theta, g = Symbol(tape, THETA), Symbol(tape, GRADIENT)
    if maximizes:
        g = -g
    if decays:
        g = g + numbers.leaf(DECAY, 0.5) * theta
    state = {name: Symbol(tape, STATE + name) for name in entries}
    # A symbol stands for a tensor.
    after, fresh = rule.update(theta, g, state, h)  # type: ignore[arg-type]
    made: Any = {name: tape.operand(value) for name, value in fresh.items()}
    if set(made) != set(entries):
        raise NotRepeatable("a rule adds to its state")
    operations, move, moved = _split(tape, tape.operand(after), set(made.values()))
    return Listing(tuple(operations), made, move, moved, numbers)


def _split(
    tape: _Tape, after: Operand, kept: set[str | int]
) -> tuple[list[Operation], str, str | int]:
    """Take the sum with the parameters out of the operations: it can be done in place, at the end.

    Returns:
        The other operations, how the parameters are moved, and by what.
    """
    operations = tape.operations
    if not isinstance(after, (str, int)):
        raise NotRepeatable("a rule returns a number for the parameters")
    makers = [index for index, one in enumerate(operations) if one.result == after]
    if len(makers) == 1 and after not in kept:
        maker = operations[makers[0]]
        rest = operations[: makers[0]] + operations[makers[0] + 1 :]
        operands = maker.operands
        if maker.name == "add" and operands[1] == THETA:
            operands = operands[::-1]
        by = operands[-1]
        if (
            maker.name in ("add", "sub")
            and operands[0] == THETA
            and isinstance(by, (str, int))
            and by != THETA
            and not any(after in one.operands for one in rest)
        ):
            return rest, maker.name, by
    return operations, "copy", after


def _separate(found: Listing) -> bool:
    """Return whether each result is one by itself, or what it was before."""
    results = list(found.state.values())
    if len(set(results)) < len(results):
        return False
    if isinstance(found.after, str) and found.after != GRADIENT:
        return False
    return all(
        not isinstance(value, str) or value in (GRADIENT, THETA, STATE + name)
        for name, value in found.state.items()
    )
