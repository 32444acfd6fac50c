"""A population: R runs on one ``theta [R, P]``, and what may differ between them.

Runs share data, model, loss, batch size, budget and device; they may differ in seed, start, optimizer and its hyperparameters, schedule, clipping and
sampling order. Runs with the same rule form a group whose hyperparameters are columns ``[R, 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optlab.component import Component
from optlab.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.hyperparameters import Hyperparameters
from optlab.lazy import torch as _torch
from optlab.optimizers.base import State

if TYPE_CHECKING:
    import torch

_SHARED = ("dataset", "model", "loss", "budget", "measures")


def check_compatible(experiments: Sequence[Experiment]) -> None:
    """Whether the experiments can be run as one population.

    Raises:
        InvalidInput: they differ in something that a population shares.
    """
    first = experiments[0]
    for number, other in enumerate(experiments[1:], start=2):
        for section in _SHARED:
            if getattr(other, section) != getattr(first, section):
                raise InvalidInput(f"Run {number} of a population differs from run 1 in [{section}], which all runs of a population share.", section)
        for field in ("device", "precision", "threads"):
            if getattr(other.general, field) != getattr(first.general, field):
                raise InvalidInput(f"Run {number} of a population differs from run 1 in {field}, which all runs of a population share.", field)
        if other.batches.size != first.batches.size:
            raise InvalidInput(f"Run {number} of a population differs from run 1 in batches.size, which all runs of a population share.", "batches.size")


class Group:
    """Runs of a population that share an update rule and a clipping rule.

    Attributes:
        rows: which runs, as a Python list; index: the same as a tensor, or None where it is all of them in order.
        h, clip_h: hyperparameters of rule and clipping: numbers where all runs agree, else columns ``[len(rows), 1]``.
        state: the rule's state for these runs.
    """

    def __init__(self, rows: list[int], experiments: Sequence[Experiment], theta: torch.Tensor) -> None:
        self.rows = rows
        everyone = rows == list(range(len(experiments)))
        self.index = None if everyone else _torch.tensor(rows, device=theta.device)
        self.refresh(experiments, theta)
        self.state: State = self.optimizer.start(self.select(theta))

    def refresh(self, experiments: Sequence[Experiment], theta: torch.Tensor) -> None:
        """Read the hyperparameters anew from the experiments as they stand now."""
        members = [experiments[row] for row in self.rows]
        self.optimizer = members[0].optimizer
        self.clipping = members[0].clipping
        self.h = _columns([member.optimizer for member in members], theta)
        self.clip_h = _columns([member.clipping for member in members], theta)
        self.schedules = [member.schedule for member in members]
        self.rates = [float(getattr(member.optimizer, "lr", 0.0)) for member in members]
        self.constant = all(schedule.constant for schedule in self.schedules)
        self._theta = theta

    def schedule(self, step: int) -> list[float]:
        """Set ``h.lr`` and ``h.step`` for the step after ``step``; the rates, one a run."""
        self.h.step = step + 1
        rates = [schedule.rate(lr, step) for schedule, lr in zip(self.schedules, self.rates, strict=True)]
        self.h.lr = _number_or_column(rates, self._theta)
        return rates

    def select(self, tensor: torch.Tensor) -> torch.Tensor:
        """The rows of this group."""
        return tensor if self.index is None else tensor[self.index]


def groups(experiments: Sequence[Experiment], theta: torch.Tensor) -> list[Group]:
    """The groups of a population."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for row, experiment in enumerate(experiments):
        key = (type(experiment.optimizer), *_discrete(experiment.optimizer), type(experiment.clipping), *_discrete(experiment.clipping))
        found.setdefault(key, []).append(row)
    return [Group(rows, experiments, theta) for rows in found.values()]


def _discrete(component: Component) -> list[Any]:
    """Values that cannot be columns: switches, choices, texts and lists."""
    return [getattr(component, field.name) for field in component.fields() if field.kind not in ("real", "whole")]


def _columns(members: Sequence[Component], theta: torch.Tensor) -> Hyperparameters:
    values: dict[str, Any] = {}
    for field in members[0].fields():
        everyone = [getattr(member, field.name) for member in members]
        values[field.name] = _number_or_column(everyone, theta) if field.kind in ("real", "whole") else everyone[0]
    return Hyperparameters(**values)


def _number_or_column(values: list[float], theta: torch.Tensor) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    return _torch.tensor(values, dtype=theta.dtype, device=theta.device).unsqueeze(1)
