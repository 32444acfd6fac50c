"""Divergence: detect it, keep the last finite state, and name the first non-finite tensor.

On the CPU the check reads a number at each step. On a GPU that would make every step wait, so a run
that diverges is frozen on the device within the step, and the host learns of it when it next reads
a block (:meth:`DivergenceGuard.sync`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optlab.catalogue.models.base import ForwardContext
from optlab.core.lazy import torch
from optlab.objective.objective import Objective
from optlab.training.events import Status
from optlab.training.groups import Member
from optlab.training.population import Population, PopulationState
from optlab.training.stepping import ProposedStep

Batches = Callable[[int], tuple["torch.Tensor", "torch.Tensor"]]
"""Step (0, 1, …) → its batch ``[R, m, …]``."""


@dataclass(frozen=True)
class RunEnding:
    """How a run of the population ended.

    Attributes:
        step: steps taken until the state that is kept. reason: why it ended, as text.
        last_reported_step: the last step whose values are reported; of a run that diverged, the
            diverging step.
        non_finite_tensor: name of the first tensor that was not finite, else "".
    """

    step: int
    status: Status
    reason: str
    last_reported_step: int
    non_finite_tensor: str = ""


class DivergenceGuard:
    """Accepts the steps of a population and ends the runs that diverge.

    Args:
        members: the runs with their current values; the trainer updates the list in place.
        batches: step → its batch.
        deferred: whether the check is left on the device until :meth:`sync`.

    Attributes:
        endings: run → how it ended.
    """

    def __init__(
        self,
        objective: Objective,
        population: Population,
        members: Sequence[Member],
        batches: Batches,
        *,
        deferred: bool,
    ) -> None:
        self._objective = objective
        self._population = population
        self._members = members
        self._batches = batches
        self._deferred = deferred
        self.endings: dict[int, RunEnding] = {}
        self._safe = population.state
        self._finite: torch.Tensor = torch.ones(
            len(members), dtype=torch.bool, device=population.theta.device
        )
        self._alive: torch.Tensor | None = None
        self._ended: list[torch.Tensor] = []
        self._pending: list[torch.Tensor] = []
        self._pending_from = 0

    @property
    def alive(self) -> list[int]:
        """The runs that have not ended."""
        return [run for run in range(len(self._members)) if run not in self.endings]

    def accept(
        self,
        proposed: ProposedStep,
        row: torch.Tensor,
        total: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        owned: bool = False,
    ) -> None:
        """Accept a step in every run that has not ended and stays finite.

        Args:
            row: the step measures ``[M, R]``; not finite where a run may have diverged. total:
                their sum.
            x, y: the batch ``[R, m, …]`` of the step.
            owned: whether parameters and states after the step are the population's own memory, in
                which the rows of ended runs can be put back.
        """
        if self._deferred:
            step = self._population.step
            self.accepted_on_device(step, [self.accept_on_device(proposed)])
        elif not self.endings:
            if math.isfinite(total.item()):
                self._safe = self._population.state
                self._population.accept(proposed)
            else:
                self._end_diverged(proposed, x, y)
        elif math.isfinite(row[:, self._alive_index()].sum().item()):
            # Runs that have ended have the same state in both.
            self._safe = self._population.state
            if owned:
                self._population.put_back(proposed, self._ended)
                self._population.accept(proposed)
            else:
                self._population.accept(proposed, self._finite)
        else:
            if owned:
                # The state before the last step, to which a run may return, is in this memory.
                self._population.put_back(proposed, self._ended)
            self._end_diverged(proposed, x, y)

    def accept_on_device(self, proposed: ProposedStep) -> torch.Tensor:
        """Accept a step in every run that stays finite, without reading from the device.

        Returns:
            ``[2, R]``: whether the loss, and whether all of the step is finite, in runs that have
            not ended.
        """
        return torch.stack(self._accept_finite(proposed))

    def accepted_on_device(self, first: int, steps: Sequence[torch.Tensor]) -> None:
        """Note what :meth:`accept_on_device` returned of some steps.

        Args:
            first: the first of them (0, 1, …). steps: ``[2, R]`` each.
        """
        if not self._pending:
            self._pending_from = first
        self._pending += steps

    @property
    def on_device(self) -> tuple[PopulationState, torch.Tensor]:
        """The state that runs return to, and the runs ``[R]`` that have not ended."""
        return self._safe, self._finite

    @on_device.setter
    def on_device(self, held: tuple[PopulationState, torch.Tensor]) -> None:
        self._safe, self._finite = held

    def latest(self, count: int) -> torch.Tensor:
        """Return what was noted of the last steps, ``[count, 2, R]``; not read since."""
        return torch.stack(self._pending[-count:])

    def accepted(self, before: PopulationState) -> None:
        """Note that steps were taken in which no run diverged.

        Args:
            before: the state before the last of them.
        """
        self._safe = before

    def _alive_index(self) -> torch.Tensor:
        """Return the runs that have not ended."""
        if self._alive is None or len(self._alive) + len(self.endings) != len(self._members):
            self._alive = torch.tensor(self.alive, dtype=torch.int64, device=self._finite.device)
            self._ended = self._population.indices(self.endings)
        return self._alive

    def _accept_finite(self, proposed: ProposedStep) -> tuple[torch.Tensor, torch.Tensor]:
        """Accept the step, and freeze the runs that diverge, without reading from the device.

        Returns:
            ``[R]`` each: whether the loss, and whether the gradient and the parameters after the
            step are finite, too, in runs that have not ended.
        """
        loss_finite = self._finite & torch.isfinite(proposed.loss)
        self._safe = self._population.where(loss_finite, self._population.state, self._safe)
        self._finite = (
            loss_finite
            & torch.isfinite(proposed.after).all(dim=1)
            & self._population.accepts(proposed)
        )
        self._population.accept(proposed, self._finite, self._safe)
        return loss_finite, self._finite

    def _end_diverged(self, proposed: ProposedStep, x: torch.Tensor, y: torch.Tensor) -> None:
        """Accept the step; end every run that diverges in it, and name what was not finite."""
        step = self._population.step
        loss_finite, lasting = self._accept_finite(proposed)
        for run in self.alive:
            if not bool(lasting[run]):
                tensor_name = first_non_finite(
                    self._in_step(run, step),
                    *(
                        tensor[run : run + 1]
                        for tensor in (proposed.point, x, y, proposed.gradient, proposed.after)
                    ),
                )
                self._diverged(run, step, bool(loss_finite[run]), tensor_name)

    def _diverged(
        self, run: int, step: int, loss_finite: bool, non_finite: tuple[str, str]
    ) -> None:
        """End a run that diverged in ``step`` (0, 1, …)."""
        name, what = non_finite
        kept = _kept_step(step, loss_finite)
        reason = (
            f"{name} is not finite ({what}) in step {step + 1}; the state of step {kept} is kept"
        )
        self.endings[run] = RunEnding(kept, "diverged", reason, step + 1, name)

    def sync(self) -> bool:
        """Read from the device which runs diverged since the last call.

        Returns:
            Whether there was anything to read: False where the check is not deferred.
        """
        if not self._pending:
            return False
        loss_finite, lasting = torch.stack(self._pending, dim=1).cpu().numpy()
        self._pending = []
        for run in self.alive:
            if not lasting[-1, run]:
                index = int(np.argmin(lasting[:, run]))
                step, its_loss_finite = self._pending_from + index, bool(loss_finite[index, run])
                self._diverged(
                    run, step, its_loss_finite, self._retraced(run, step, its_loss_finite)
                )
        return True

    def _retraced(self, run: int, step: int, loss_finite: bool) -> tuple[str, str]:
        """Repeat the steps of a frozen run from its kept state, and name what was not finite."""
        kept = _kept_step(step, loss_finite)
        alone = self._population.single(run, self._members[run], kept)
        for number in range(kept, step + 1):
            x, y = (tensor[run : run + 1] for tensor in self._batches(number))
            proposed = alone.propose(x, y)
            alone.accept(proposed)
        return first_non_finite(
            self._in_step(run, step), proposed.point, x, y, proposed.gradient, proposed.after
        )

    def _in_step(self, run: int, step: int) -> Objective:
        """Return the objective of a run as its step ``step`` (0, 1, …) sees it."""
        return self._objective.selected([run]).in_step([self._members[run].general.seed], step)

    def end(self, run: int, status: Status, reason: str) -> None:
        """End one run in its current state; the others continue."""
        step = self._population.step
        self.endings[run] = RunEnding(step, status, reason, step)
        self._finite = self._finite.clone()
        self._finite[run] = False
        # Frozen from now on in this state, not in the one before.
        others = torch.ones_like(self._finite)
        others[run] = False
        self._safe = self._population.where(others, self._safe, self._population.state)

    def keep_best(self, run: int) -> None:
        """Keep the parameters of a run as those of its best evaluation so far."""
        # The memory of the stopping rule does not return to an earlier step with the safe state:
        # the parameters it refers to must be in both.
        self._safe = self._population.keep_best(run, self._safe)


def _kept_step(step: int, loss_finite: bool) -> int:
    """Return the step whose state is kept of a run that diverged in ``step``.

    The loss belongs to the parameters before the step: where it is not finite, those were bad
    already.
    """
    return step if loss_finite else max(step - 1, 0)


def first_non_finite(
    objective: Objective,
    point: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    gradient: torch.Tensor,
    after: torch.Tensor,
) -> tuple[str, str]:
    """Return the name of the first tensor that is not finite, and a description of it.

    The order is that of computation: outputs of the layers, loss, gradient, parameters after the
    step.

    Args:
        objective: of the run. point: where the diverging step evaluated its gradient,
            ``[1, P]``. x, y: its batch, with a run axis of 1. gradient: that of the step,
            ``[1, P]``. after: parameters after it, ``[1, P]``.
    """
    layers: list[str] = []

    def trace(name: str, value: torch.Tensor) -> None:
        if not layers and not bool(torch.isfinite(value).all()):
            layers.append(name)

    for name, part in objective.layout.named(point).items():
        if not bool(torch.isfinite(part).all()):
            return name, "parameters where the gradient was to be taken"
    with torch.no_grad():
        loss = objective.losses(point, x, y, ForwardContext(training=True, trace=trace))
    if layers:
        return layers[0], "outputs of this layer"
    if not bool(torch.isfinite(loss).all()):
        return "loss", "loss on the batch"
    for name, part in objective.layout.named(gradient).items():
        if not bool(torch.isfinite(part).all()):
            return f"gradient of {name}", "gradient of this tensor"
    for name, part in objective.layout.named(after).items():
        if not bool(torch.isfinite(part).all()):
            return name, "parameters after the step"
    return "optimizer state", "state of the update rule"
