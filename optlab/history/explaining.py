"""One step explained: the lines of a rule with the numbers of a step that was taken.

The step is taken again by the rule's own code, while its local variables are observed; each line of
the rule is shown with them. Nothing is computed a second time by other means, so that what is shown
is the step.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core.lazy import torch
from optlab.core.plain_math import plain
from optlab.history.clauses import Clause, clauses, with_numbers
from optlab.history.recomputation import Moment
from optlab.training.state_names import is_own
from optlab.training.stepping import ProposedStep
from optlab.training.trainer import Trainer

_THETA = "θ"
_AFTER = "after"


@dataclass(frozen=True)
class Quantity:
    """Something with a value for each parameter, or one number.

    Attributes:
        symbol: as text. meaning: in words.
        value: of the chosen parameter, or the number itself. norm: of all together; None for a
            number.
    """

    symbol: str
    meaning: str
    value: float | None
    norm: float | None = None


@dataclass(frozen=True)
class ExplainedLine:
    """One assignment of a rule.

    Attributes:
        latex: as it stands in the rule. numbers: the right side with the numbers of the step, in
            LaTeX; "" where none can be put in.
        symbol: the left side, as text.
        value, norm: of what the rule's code computed for it; see :class:`Quantity`. None where the
            code does not hold it.
        used: the numbers that were put in, symbol → number.
    """

    latex: str
    numbers: str
    symbol: str
    value: float | None
    norm: float | None
    used: Mapping[str, float]


@dataclass(frozen=True)
class StepExplanation:
    """A step with its numbers.

    Attributes:
        run: id. step: number of the step (1, 2, …), which leads to the state after so many.
        optimizer: label of the rule. parameter: name of the chosen parameter.
        before, after: its value before and after the step.
        loss: on the batch. gradient_norm: before clipping. update_norm: of the whole step.
        quantities: what the rule was given: θ, g, its state and hyperparameters.
        lines: its assignments, in order.
        notes: why the step is not what the method promises.
        exact: whether it is the step that was recorded; None where nothing shows it.
    """

    run: str
    step: int
    optimizer: str
    parameter: str
    before: float
    after: float
    loss: float
    gradient_norm: float
    update_norm: float
    quantities: tuple[Quantity, ...]
    lines: tuple[ExplainedLine, ...]
    notes: tuple[str, ...] = ()
    exact: bool | None = None


def explain(at: Moment, parameter: str = "") -> StepExplanation:
    """Return the explanation of the step that a run takes at a moment.

    Args:
        at: the run before the step.
        parameter: name of the parameter to show, such as ``layers.0.weight[3,5]``; "" for the one
            that moves most.

    Raises:
        InvalidInput: there is no such parameter, or the experiment cannot be run here.
    """
    trainer = Trainer([at.experiment], [at.snapshot])
    population = trainer.population
    (group,) = population.groups
    rule, h = group.optimizer, group.h
    file = getattr(sys.modules[type(rule).__module__], "__file__", "") or ""
    before, state = population.theta, dict(group.state)
    with _observed(file) as found:
        proposed = population.propose(*trainer.batch_of(trainer.step))
    moved = proposed.after - before
    index = trainer.layout.weight_index(parameter) if parameter else int(moved[0].abs().argmax())
    numbers = _Numbers(index)
    g = proposed.used[0]
    symbols = {
        field.symbol: getattr(h, field.name)
        for field in rule.fields()
        if field.symbol and field.kind in ("number", "integer")
    }
    given: dict[str, Any] = {_THETA: before, "g": g}
    given |= {plain(f"\\{name}"): value for name, value in state.items() if is_own(name)}
    given |= symbols
    # Of a line search its length, of other rules the number of the step.
    given["t"] = found["t"] if isinstance(found.get("t"), float) else float(h.step)
    computed = {**found, "g": g, _AFTER: proposed.after}
    computed |= {f"state.{name}": value for name, value in proposed.states[0].items()}
    meanings = {**rule.symbols, **{field.symbol: field.label for field in rule.fields()}}
    return StepExplanation(
        run=at.plan.record.id,
        step=trainer.step + 1,
        optimizer=rule.label,
        parameter=trainer.layout.weight_name(index),
        before=float(before[0, index]),
        after=float(proposed.after[0, index]),
        loss=float(proposed.loss[0]),
        gradient_norm=float(proposed.norm[0]),
        update_norm=float(torch.linalg.vector_norm(moved[0])),
        quantities=_quantities(numbers, given, proposed, meanings),
        lines=tuple(_lines(rule, given, computed, numbers)),
        notes=tuple(note for note in proposed.notes.values() if note),
        exact=at.exact,
    )


@contextmanager
def _observed(file: str) -> Iterator[dict[str, Any]]:
    """Observe the local variables of the functions in a file that return inside.

    Those of a function that calls another one win over those of the other.
    """
    found: dict[str, Any] = {}

    def observe(frame: FrameType, event: str, value: object) -> None:
        if event == "return" and frame.f_code.co_filename == file:
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(observe)
    try:
        yield found
    finally:
        sys.setprofile(before)


class _Numbers:
    """Reads the number of the chosen parameter from tensors of one run."""

    def __init__(self, index: int) -> None:
        self._index = index

    def value(self, of: Any) -> float | None:
        """Return the entry of a vector ``[1, P]``, or a number itself; None for anything else."""
        if isinstance(of, torch.Tensor):
            if of.numel() == 1:
                return float(of.reshape(()))
            is_vector = of.dim() == 2 and of.shape[0] == 1 and of.shape[1] > self._index
            return float(of[0, self._index]) if is_vector else None
        return float(of) if isinstance(of, int | float) else None

    @staticmethod
    def norm(of: Any) -> float | None:
        """Return the norm of a vector or matrix; None for a number."""
        if isinstance(of, torch.Tensor) and of.numel() > 1 and of.is_floating_point():
            return float(torch.linalg.vector_norm(of))
        return None

    @staticmethod
    def is_number(of: Any) -> bool:
        """Return whether something is a number rather than a vector."""
        return not isinstance(of, torch.Tensor) or of.numel() == 1


def _quantities(
    numbers: _Numbers,
    given: Mapping[str, Any],
    proposed: ProposedStep,
    meanings: Mapping[str, str],
) -> tuple[Quantity, ...]:
    found = [
        Quantity(symbol, meanings.get(symbol, ""), numbers.value(value), numbers.norm(value))
        for symbol, value in given.items()
        if symbol in meanings and not (numbers.value(value) is None and numbers.norm(value) is None)
    ]
    if proposed.used[0] is not proposed.gradient:
        raw = proposed.gradient
        clipped = Quantity("g", "gradient before clipping", numbers.value(raw), numbers.norm(raw))
        found.insert(1, clipped)
    return tuple(found)


def _lines(
    rule: Optimizer, given: Mapping[str, Any], computed: Mapping[str, Any], numbers: _Numbers
) -> Iterator[ExplainedLine]:
    assignments = clauses(rule.lines())
    present = dict(given)
    for clause, name in zip(assignments, rule.traced or _from_outside(assignments), strict=True):
        value = computed.get(name) if name else None
        put_in = _Substitution(present, numbers, elementwise=rule.elementwise)
        # The gradient at a point is no function of one entry of it.
        right = "" if r"\nabla" in clause.right else with_numbers(clause.right, put_in)
        yield ExplainedLine(
            clause.latex,
            right if put_in.used else "",
            clause.symbol,
            numbers.value(value),
            numbers.norm(value),
            put_in.used,
        )
        if value is not None:
            present[clause.symbol] = value


class _Substitution:
    """Puts numbers in the place of symbols, and keeps which.

    Args:
        present: symbol → what it stands for now. elementwise: whether a vector stands for its
            entry; a rule that mixes entries has no line of one of them.
    """

    def __init__(self, present: Mapping[str, Any], numbers: _Numbers, *, elementwise: bool) -> None:
        self._present = present
        self._numbers = numbers
        self._elementwise = elementwise
        self.used: dict[str, float] = {}

    def __call__(self, symbol: str) -> str | None:
        """Return the number of a symbol in LaTeX; None for what stays a symbol."""
        quantity = self._present.get(symbol)
        number = None if quantity is None else self._numbers.value(quantity)
        if number is None or not (self._elementwise or self._numbers.is_number(quantity)):
            return None
        self.used[symbol] = number
        return shown(number)


def _from_outside(assignments: list[Clause]) -> tuple[str, ...]:
    """Return what is known of a rule whose code is not OptLab's: the new parameters alone."""
    last = max((at for at, one in enumerate(assignments) if one.symbol == _THETA), default=-1)
    return tuple(_AFTER if at == last else "" for at in range(len(assignments)))


def shown(number: float) -> str:
    """Return a number with six digits, in LaTeX."""
    text = f"{number:.6g}"
    digits, exponent, power = text.partition("e")
    if not exponent or not math.isfinite(number):
        return text
    ten = f"10^{{{int(power)}}}"
    return ten if digits == "1" else f"{digits} \\times {ten}"
