"""The gradient that a step follows: of the objective, of a blurred one, or of a surrogate.

Runs may blur differently. Those that average over the same number of draws are evaluated together,
with a width of their own each.
"""

from __future__ import annotations

from collections.abc import Sequence

from optlab.catalogue.continuation.base import Continuation
from optlab.core.lazy import torch
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator, random_units


class StepGradient:
    """Losses and gradients of the runs of a population.

    Args:
        objective: of the runs. continuations: one a run, or (). seeds: one a run.

    Attributes:
        plain: whether it is that of the objective itself, at the point itself.
    """

    def __init__(
        self,
        objective: Objective,
        continuations: Sequence[Continuation],
        seeds: Sequence[int],
    ) -> None:
        self._objective = objective
        self._continuations = list(continuations)
        self._seeds = list(seeds)
        self._all = list(range(len(self._seeds)))
        self.plain = not (
            objective.uses_surrogate_gradient or any(one.active for one in continuations)
        )

    def at(
        self,
        point: torch.Tensor,
        step: int,
        x: torch.Tensor,
        y: torch.Tensor,
        rows: list[int] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss ``[R]`` and gradient ``[R, P]`` at ``point`` ``[R, P]`` on a batch.

        Args:
            step: 0, 1, …. x, y: the batch ``[R, m, …]``. rows: the runs that these tensors have
                rows of; all by default.
        """
        objective = self._objective if rows is None else self._objective.selected(rows)
        if self.plain:
            return objective.value_and_gradient(point, x, y)
        runs = self._all if rows is None else rows
        widths = [self._width(run, step) for run in runs]
        draws = [
            self._continuations[run].draws() if width else 0
            for run, width in zip(runs, widths, strict=True)
        ]
        seeds = [self._seeds[run] for run in runs]
        if len(set(draws)) == 1:
            return _averaged(objective, point, step, x, y, widths, draws[0], seeds)
        loss, gradient = torch.empty_like(point[:, 0]), torch.empty_like(point)
        for count in set(draws):
            some = [row for row, its in enumerate(draws) if its == count]
            loss[some], gradient[some] = _averaged(
                objective.selected(some),
                point[some],
                step,
                x[some],
                y[some],
                [widths[row] for row in some],
                count,
                [seeds[row] for row in some],
            )
        return loss, gradient

    def evaluations(self, step: int, rows: list[int] | None = None) -> list[int]:
        """Return the number of gradients that a step evaluates, one a run of :meth:`at`."""
        runs = self._all if rows is None else rows
        return [self._continuations[run].draws() if self._width(run, step) else 1 for run in runs]

    def _width(self, run: int, step: int) -> float:
        if not self._continuations:
            return 0.0
        continuation = self._continuations[run]
        return continuation.width(step) if continuation.active else 0.0


def _averaged(
    objective: Objective,
    point: torch.Tensor,
    step: int,
    x: torch.Tensor,
    y: torch.Tensor,
    widths: list[float],
    draws: int,
    seeds: list[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and gradient averaged over draws of the noise; without draws those at the point.

    Args:
        widths, seeds: one a run.
    """
    uniforms = (
        random_units(seeds, f"surrogate/{step}", x) if objective.uses_surrogate_gradient else None
    )
    if draws == 0:
        return objective.value_and_gradient(point, x, y, uniforms)
    width: float | torch.Tensor = widths[0]
    if len(set(widths)) > 1:
        width = torch.tensor(widths, dtype=point.dtype, device=point.device).unsqueeze(1)
    sources = [generator(seed, f"continuation/{step}") for seed in seeds]
    loss, gradient = torch.zeros_like(point[:, 0]), torch.zeros_like(point)
    for _ in range(draws):
        noise = torch.stack(
            [
                torch.randn(point.shape[1], generator=source, dtype=torch.float64)
                for source in sources
            ]
        ).to(point)
        one_loss, one_gradient = objective.value_and_gradient(point + width * noise, x, y, uniforms)
        loss += one_loss / draws
        gradient += one_gradient / draws
    return loss, gradient
