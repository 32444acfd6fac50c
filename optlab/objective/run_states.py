"""What runs have beside their parameters, and the random numbers of their steps.

A model of the user's may have buffers that a training pass changes, such as running means, frozen
parameters, and dropout. All passes of a step start from the same state and draw the same numbers, so
that a line search and a Hessian product see one function. Passes that belong to no step evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.models.base import ForwardContext, Model
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.objective.seeding import derived, generator

MODEL = "model."
"""Prefix of these entries in the state of a snapshot."""

Values = Mapping[str, "torch.Tensor"]
"""Name → values ``[R, *shape]``."""


@dataclass(frozen=True)
class RunStates:
    """The state of R runs.

    Attributes:
        values: what each run has beside its parameters.
        differs: whether a pass of a step draws random numbers or changes the state.
        seeds: of the random numbers of a step, one a run; None outside of a step.
        after: receives what a pass of the step made of the values.
        still: whether the passes of steps evaluate, too, and the values stay as they are.
    """

    values: Values
    differs: bool
    seeds: tuple[int, ...] | None = None
    after: dict[str, torch.Tensor] | None = None
    still: bool = False

    def selected(self, rows: Sequence[int]) -> RunStates:
        """Return the states of runs of which number i is the run ``rows[i]`` of these."""
        index = list(rows)
        return replace(
            self,
            values={name: value[index] for name, value in self.values.items()},
            seeds=None if self.seeds is None else tuple(self.seeds[row] for row in index),
        )

    def repeated(self, count: int) -> RunStates:
        """Return the states of ``count`` of each run, one after another."""
        values = {
            name: value.repeat_interleave(count, dim=0) for name, value in self.values.items()
        }
        seeds = self.seeds and tuple(seed for seed in self.seeds for _ in range(count))
        return replace(self, values=values, seeds=seeds)

    def in_step(
        self, seeds: Sequence[int], step: int, after: dict[str, torch.Tensor] | None = None
    ) -> RunStates:
        """Return the states for the passes of a step.

        Args:
            seeds: of the runs, one a run. step: its number (0, 1, …). after: receives what a pass
                makes of the values, ``[R, *shape]`` each.
        """
        if self.still:
            return self
        drawn = tuple(derived(seed, f"training pass/{step}") for seed in seeds)
        return replace(self, seeds=drawn, after=after)

    def held(self) -> RunStates:
        """Return these states for steps on the function that evaluations see."""
        return replace(self, differs=False, still=True)

    def of_snapshot(self, state: Mapping[str, NDArray[Any]]) -> RunStates:
        """Return the state of one run, ``[1, *shape]`` each, from the state of a snapshot.

        Args:
            state: ``model.name`` → values of ``shape``.

        Raises:
            InvalidInput: it is the state of another model.
        """
        missing = [name for name in self.values if f"{MODEL}{name}" not in state]
        if missing:
            raise InvalidInput(
                f"The snapshot does not hold {missing[0]}, which the model has beside its weights; it "
                "is of another model."
            )
        values = {
            name: torch.from_numpy(np.array(state[f"{MODEL}{name}"])).unsqueeze(0)
            for name in self.values
        }
        return replace(self, values=values)

    def like(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the values ``[R, *shape]`` on the device of ``theta``, real ones in its precision.

        Args:
            theta: ``[R, P]``.
        """
        return {
            name: value.to(theta) if value.is_floating_point() else value.to(theta.device)
            for name, value in self.values.items()
        }

    def context(self, context: ForwardContext, theta: torch.Tensor) -> ForwardContext:
        """Return the context of a pass at parameters ``theta`` ``[R, P]`` with these states.

        The state of a single run serves any number of rows.
        """
        runs = len(theta)
        values = self.like(theta)
        seeds = self.seeds
        if runs != 1:
            values = {
                name: value.expand(runs, *value.shape[1:]) if len(value) == 1 else value
                for name, value in values.items()
            }
            seeds = seeds * runs if seeds is not None and len(seeds) == 1 else seeds
        if not context.training:
            return replace(context, state=values)
        after = None if self.after is None else self.after.update
        return replace(context, state=values, seeds=seeds, after=after)


def built_states(model: Model, shape: DataShape, seeds: Sequence[int]) -> RunStates | None:
    """Return the states of runs before their first step; None where the model needs none.

    Args:
        shape: of the data. seeds: of the runs, one a run.
    """
    known = {
        seed: model.built_state(shape, generator(seed, "start")) for seed in dict.fromkeys(seeds)
    }
    first = known[seeds[0]]
    differs = model.differs_in_training(shape)
    if not first and not differs:
        return None
    values = {name: torch.stack([known[seed][name] for seed in seeds]) for name in first}
    return RunStates(values, differs)
