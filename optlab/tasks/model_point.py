"""A model at one point of its training: weights, the objective and the data they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from optlab.core.data import Data, Part
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.run_data import RunData, objective_of

PartName = Literal["training", "validation"]
"""Parts of the data that a model may be looked at on; the test part is not among them."""


@dataclass(frozen=True)
class ModelPoint:
    """The weights of a run after a number of steps, in double precision on the CPU.

    Attributes:
        experiment: of the run, with the values that had been changed by hand.
        step: number of steps taken.
        objective: of the experiment.
        theta: ``[1, P]``.
        data: of the experiment.
    """

    experiment: Experiment
    step: int
    objective: Objective
    theta: torch.Tensor
    data: Data

    def part(self, name: PartName) -> Part:
        """Return a part of the data.

        Raises:
            InvalidInput: it has no examples.
        """
        part: Part = getattr(self.data, name)
        if not len(part):
            raise InvalidInput(
                f"The data have no {name} part: set dataset.{name} to 0.2, for example, and train "
                "again, or choose another part.",
                f"dataset.{name}",
            )
        return part

    @property
    def default_part(self) -> PartName:
        """The validation part where there is one, else the training part."""
        return "validation" if len(self.data.validation) else "training"

    def raw(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return standardized inputs ``[n, *inputs]`` in the units of their source."""
        return x * self.data.scale + self.data.offset

    def class_names(self) -> tuple[str, ...]:
        """Return a name for each class: the data's own, or numbers; () for regression."""
        if self.objective.shape.task != "classes":
            return ()
        count, names = self.objective.shape.outputs, self.data.class_names
        return names if len(names) == count else tuple(map(str, range(count)))


def model_point(
    experiment: Experiment,
    theta: NDArray[Any],
    step: int,
    values: Mapping[str, float] | None = None,
    state: Mapping[str, NDArray[Any]] | None = None,
) -> ModelPoint:
    """Return the model of an experiment at weights ``theta`` ``[P]``.

    Args:
        experiment: of the run.
        theta: parameters, in the order of the model's layout.
        step: number of steps that led to them.
        values: fields that had been changed by hand, path → value.
        state: of a snapshot, with what the model has beside its weights; None for what it has
            before the first step.

    Raises:
        InvalidInput: the data cannot be loaded, or the weights are not those of this model.
    """
    if values:
        experiment = experiment.with_values(values, check=False)
    data = RunData([experiment])
    objective = objective_of([experiment], data)
    if theta.shape != (objective.layout.total,):
        raise InvalidInput(
            f"There are {theta.size:,} weights, but the model of the experiment has "
            f"{objective.layout.total:,}; they belong to another model."
        )
    if state and objective.states is not None:
        objective.states = objective.states.of_snapshot(state)
    weights = torch.from_numpy(theta.copy()).double().unsqueeze(0)
    return ModelPoint(experiment, step, objective, weights, data.first)
