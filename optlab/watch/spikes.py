"""The spike inspector: what fits a jump of the loss.

It keeps what is known of the last 512 steps. A loss that lies far above its recent values is a jump;
a few steps later, when it is clear whether it stays, the steps around it are compared with those
before it. Each cause has one function, which says what speaks for it, or nothing. Causes are not
proofs: a sentence names the numbers that it rests on.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 512
"""Steps that are kept."""
_RECENT = 64
"""Values of a loss with which the next one is compared."""
_FEWEST = 16
"""Values of a loss before any is called a jump."""
_TOGETHER = 16
"""Values that are compared at once."""
_DEVIATIONS = 10.0
"""How many standard deviations, estimated from the median deviation, a jump lies above the median."""
_LEAST = 0.25
"""Share of the median by which it lies above it at the least."""
_LATER = 8
"""Steps after a jump until it is judged."""
_MAX_INDICES = 1024
"""Indices of a batch that are named."""

Numbers = Mapping[str, float]


@dataclass
class Step:
    """What is known of a step.

    Attributes:
        numbers: name → value of what was logged, learning rate, statistics of the whole model.
        tensors: statistic → tensor → value.
        batch: indices ``[B]`` of its examples, where they were named.
        skipped: whether a gradient scaler has skipped a step before it.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    tensors: dict[str, dict[int, float]] = field(default_factory=dict)
    batch: NDArray[np.int64] | None = None
    skipped: bool = False


@dataclass
class _Jump:
    series: str
    step: int
    value: float
    before: float
    threshold: float


class _Loss:
    """The recent values of a loss."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._recent: list[float] = []
        self._unusual: list[float] = []
        self._quiet_until = 0

    def jumps(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> list[_Jump]:
        """Return the jumps among new values ``[n]`` at steps ``[n]``."""
        found: list[_Jump] = []
        for first in range(0, len(values), _TOGETHER):
            found += self._compare(
                steps[first : first + _TOGETHER], values[first : first + _TOGETHER]
            )
        return found

    def _compare(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> list[_Jump]:
        usual = np.isfinite(values)
        found = []
        if len(self._recent) >= _FEWEST:
            # Of lists: of so few values, NumPy's median takes ten times as long.
            middle = statistics.median(self._recent)
            deviation = 1.4826 * statistics.median(abs(one - middle) for one in self._recent)
            threshold = middle + max(_DEVIATIONS * deviation, _LEAST * abs(middle))
            usual &= values <= threshold
            for at in np.flatnonzero(~usual).tolist():
                if steps[at] >= self._quiet_until:
                    self._quiet_until = int(steps[at]) + 2 * _RECENT
                    found.append(
                        _Jump(self._name, int(steps[at]), float(values[at]), middle, threshold)
                    )
        self._recent = [*self._recent, *values[usual].tolist()][-_RECENT:]
        if usual.any():
            self._unusual = []
        else:
            self._unusual += values[np.isfinite(values)].tolist()
            if len(self._unusual) >= _RECENT:  # a loss that stays where it is
                self._recent = self._unusual[-_RECENT:]
        return found


class SpikeInspector:
    """Keeps the last steps and looks for jumps.

    Args:
        names: of the tensors.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._numbers: dict[str, deque[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
        self._readings: OrderedDict[int, Step] = OrderedDict()
        self._batches: deque[tuple[int, NDArray[np.int64]]] = deque(maxlen=KEPT)
        self._losses: dict[str, _Loss] = {}
        self._open: list[_Jump] = []
        self._last = 0
        self._new = 0

    # --- what it hears ----------------------------------------------------------------------------

    def add_numbers(self, name: str, steps: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add numbers ``[n]`` of a series at steps ``[n]``."""
        kept = self._numbers.setdefault(name, deque())
        kept.append((steps[-KEPT:], values[-KEPT:]))
        self._last = max(self._last, int(steps[-1]))
        while len(kept) > 1 and kept[0][0][-1] <= self._last - KEPT:
            kept.popleft()
        if is_training_loss(name):
            if name not in self._losses:
                self._losses[name] = _Loss(name)
            jumps = self._losses[name].jumps(steps, values)
            self._open += jumps
            self._new += len(jumps)

    def add_reading(
        self,
        step: int,
        suffix: str,
        totals: Numbers,
        vectors: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    ) -> None:
        """Add the statistics of a step: of the whole model, and of tensors ``[K]``."""
        kept = self._reading(step)
        for name, value in totals.items():
            kept.numbers[f"{name}{suffix}"] = value
        for name, (numbers, values) in vectors.items():
            kept.tensors.setdefault(name, {}).update(
                zip(numbers.tolist(), values.tolist(), strict=True)
            )

    def add_batch(self, step: int, batch: NDArray[np.int64]) -> None:
        """Add the indices ``[B]`` of the examples of a step."""
        self._batches.append((step, batch))

    def add_skip(self, step: int) -> None:
        """Note that a gradient scaler has skipped a step before this one."""
        self._reading(step).skipped = True

    def _reading(self, step: int) -> Step:
        if step not in self._readings:
            self._readings[step] = Step()
            self._last = max(self._last, step)
            while len(self._readings) > KEPT:
                self._readings.popitem(last=False)
        return self._readings[step]

    # --- what it finds ----------------------------------------------------------------------------

    def look(self, *, final: bool = False) -> tuple[int, list[Mapping[str, Any]]]:
        """Return how many jumps are new, and the events of those that can be judged.

        Args:
            final: whether no more steps come.
        """
        new, self._new = self._new, 0
        ripe = [jump for jump in self._open if final or self._last >= jump.step + _LATER]
        self._open = [jump for jump in self._open if jump not in ripe]
        return new, [self._event(jump) for jump in ripe]

    def _steps(self) -> dict[int, Step]:
        """Return what is known of the last steps, in order."""
        steps = {
            number: Step(dict(step.numbers), step.tensors, None, step.skipped)
            for number, step in self._readings.items()
        }
        for name, kept in self._numbers.items():
            for numbers, values in kept:
                for number, value in zip(numbers.tolist(), values.tolist(), strict=True):
                    steps.setdefault(number, Step()).numbers[name] = value
        for number, batch in self._batches:
            steps.setdefault(number, Step()).batch = batch
        return dict(sorted(steps.items())[-KEPT:])

    def _event(self, jump: _Jump) -> Mapping[str, Any]:
        case = Case(jump, self._steps(), self._names)
        batch = case.batch
        return {
            "kind": "spike",
            "step": jump.step,
            "series": jump.series,
            "before": jump.before,
            "value": jump.value if math.isfinite(jump.value) else None,
            "returned": case.returned,
            "causes": [
                {"cause": name, "because": because}
                for name, cause in CAUSES.items()
                if (because := cause(case))
            ],
            "batch": None if batch is None else batch[:_MAX_INDICES].tolist(),
        }


def is_training_loss(name: str) -> bool:
    """Return whether a series is a loss of training, by its name."""
    lower = name.lower()
    return "loss" in lower and not any(part in lower for part in ("val", "test", "eval", "probe"))


class Case:
    """A jump with the steps around it."""

    def __init__(self, jump: _Jump, steps: Mapping[int, Step], names: Sequence[str]) -> None:
        self.jump = jump
        self.names = names
        self.steps = sorted(steps.items())
        self.earlier = [step for number, step in self.steps if number < jump.step - 1]
        self.around = [
            (number, step)
            for number, step in self.steps
            if jump.step - 1 <= number <= jump.step + 1
        ]
        self.later = [step for number, step in self.steps if number > jump.step]

    @property
    def batch(self) -> NDArray[np.int64] | None:
        """Indices ``[B]`` of the examples of the step."""
        return next((step.batch for number, step in self.steps if number == self.jump.step), None)

    @property
    def returned(self) -> bool | None:
        """Whether the loss was back at once; None where no later one is known."""
        name = self.jump.series
        values = [step.numbers[name] for step in self.later if name in step.numbers][:_LATER]
        if not values:
            return None
        return sum(value <= self.jump.threshold for value in values) > len(values) / 2

    def usual(self, name: str) -> float | None:
        """Return the median of a number before the jump."""
        values = [
            step.numbers[name]
            for step in self.earlier
            if name in step.numbers and math.isfinite(step.numbers[name])
        ]
        return statistics.median(values) if values else None

    def near(self, name: str) -> tuple[int, float] | None:
        """Return the largest value of a number around the jump, with its step."""
        found = [
            (number, step.numbers[name]) for number, step in self.around if name in step.numbers
        ]
        return max(found, key=lambda pair: _rank(pair[1])) if found else None

    def latest(self, name: str) -> float | None:
        """Return the last value of a number up to the jump."""
        found = [
            step.numbers[name]
            for number, step in self.steps
            if name in step.numbers and number <= self.jump.step
        ]
        return found[-1] if found else None


def _rank(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _precision(case: Case) -> str:
    """Numbers that are not finite, a scale that fell, or steps that the weights cannot hold."""
    for number, step in case.around:
        for tensor, value in step.tensors.get("gradient_norm", {}).items():
            if not math.isfinite(value):
                return f"the gradient of {case.names[tensor]} is not finite at step {number}"
    for number, step in case.around:
        if step.skipped:
            return f"the gradient scaler had skipped a step before step {number}"
    lost = case.usual("lost_share")
    if lost is not None and lost >= 0.5:
        return f"{100 * lost:.0f}% of the weights did not move: steps get lost in their precision"
    return ""


def _rate(case: Case) -> str:
    """A rate that rose, or that is beyond what the measured curvature allows."""
    rates = [(number, step.numbers["lr"]) for number, step in case.steps if "lr" in step.numbers]
    recent = [pair for pair in rates if pair[0] <= case.jump.step]
    if recent:
        at, now = recent[-1]
        usual = statistics.median(value for _, value in recent[:-1]) if len(recent) > 1 else now
        if usual > 0.0 and now >= 1.5 * usual and at >= case.jump.step - _RECENT:
            return f"the learning rate rose from {usual:.3g} to {now:.3g} at step {at}"
        curvature = case.latest("top_eigenvalue")
        if curvature is not None and "gradient_surprise" not in _numbers(case):
            product = now * curvature
            if product > 4.0:
                return (
                    f"learning rate × largest eigenvalue is {product:.3g}; gradient descent "
                    "diverges above 2, and with momentum above 4"
                )
    return ""


def _numbers(case: Case) -> set[str]:
    return {name for _, step in case.steps for name in step.numbers}


def _second_moment(case: Case) -> str:
    """Gradients that are far larger than the stored second moments expect."""
    worst = (0, -1, 0.0)
    for number, step in case.around:
        for tensor, value in step.tensors.get("gradient_surprise", {}).items():
            if value > worst[2]:
                worst = (number, tensor, value)
    number, tensor, value = worst
    usual = case.usual("gradient_surprise")
    if value < 20.0 or (usual is not None and value < 4.0 * usual):
        return ""
    grown, before = case.near("update_ratio"), case.usual("update_ratio")
    if grown is not None and before is not None and grown[1] < 1.5 * before:
        return ""
    return (
        f"at step {number} the squared gradient of {case.names[tensor]} is {value:.3g} times its "
        "stored second moment, so the step is far too long; a smaller second decay rate "
        "(beta2) or a larger epsilon would shorten it"
    )


def _one_layer(case: Case) -> str:
    """A gradient that grew in one tensor."""
    if len(case.names) < 3:
        return ""
    usual = _usual_of_tensors(case)
    for number, step in reversed(case.around):
        gradients = step.tensors.get("gradient_norm", {})
        growth = {
            tensor: value**2 - usual[tensor] ** 2
            for tensor, value in gradients.items()
            if tensor in usual and math.isfinite(value) and value > 4.0 * usual[tensor]
        }
        total = sum(
            max(value**2 - usual.get(tensor, 0.0) ** 2, 0.0)
            for tensor, value in gradients.items()
            if math.isfinite(value)
        )
        if growth and total > 0.0:
            tensor = max(growth, key=lambda each: growth[each])
            if growth[tensor] >= 0.8 * total:
                times = gradients[tensor] / max(usual[tensor], 1e-300)
                return (
                    f"at step {number} the gradient of {case.names[tensor]} alone is {times:.3g} "
                    "times as large as usual"
                )
    return ""


def _usual_of_tensors(case: Case) -> dict[int, float]:
    by_tensor: dict[int, list[float]] = {}
    for step in case.earlier:
        for tensor, value in step.tensors.get("gradient_norm", {}).items():
            if math.isfinite(value):
                by_tensor.setdefault(tensor, []).append(value)
    return {tensor: statistics.median(values) for tensor, values in by_tensor.items()}


def _batch(case: Case) -> str:
    """A loss that was back at once: the weights are as good as before, the batch was not."""
    if not case.returned:
        return ""
    named = "" if case.batch is None else f" (examples {_shown(case.batch)})"
    gradient, usual = case.near("gradient_norm"), case.usual("gradient_norm")
    text = f"the loss was back at once, so the batch of step {case.jump.step}{named} is unusual"
    if gradient is not None and usual is not None and gradient[1] > 2.0 * usual > 0.0:
        text += f"; its gradient is {gradient[1] / usual:.3g} times as large as usual"
    return text


def _shown(batch: NDArray[np.int64]) -> str:
    first = ", ".join(map(str, batch[:8].tolist()))
    return first if len(batch) <= 8 else f"{first}, …"


CAUSES = {
    "precision": _precision,
    "rate": _rate,
    "second moment": _second_moment,
    "batch": _batch,
    "one layer": _one_layer,
}
"""Name → function that says what speaks for the cause, or ""."""
