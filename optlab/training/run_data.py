"""The data of R runs: a data set that several runs have is loaded, and held, once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from optlab.core.data import Data, Part
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.run_examples import RunExamples
from optlab.objective.run_objective import RunObjective
from optlab.training.fresh import FreshExamples, tensors

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Assignment:
    """Which data set each run has.

    Attributes:
        of: the data set of each run. seeds: the data seed of each data set.
    """

    of: tuple[int, ...]
    seeds: tuple[int, ...]

    def examples(self, of_sets: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> RunExamples:
        """Return the examples of all runs from those ``[n, …]`` of each data set."""
        if len(of_sets) == 1:
            return RunExamples(*of_sets[0])
        x, y = (torch.stack(tensors) for tensors in zip(*of_sets, strict=True))
        return RunExamples(x, y, torch.tensor(self.of, device=x.device))

    def part(self, parts: Sequence[Part], device: str, dtype: torch.dtype) -> RunExamples:
        """Return on a device the examples of all runs from a part of each data set."""
        return self.examples([tensors(part, device, dtype) for part in parts])


class RunData:
    """The data sets of R runs, as they are loaded; what trains keeps tensors of them.

    Args:
        experiments: one a run.

    Raises:
        InvalidInput: a data set cannot be loaded or does not suit its experiment, or two differ in
            shape or in the number of examples.

    Attributes:
        sets: the D different data sets. assignment: which of them each run has.
    """

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        self._datasets = list(dict.fromkeys(experiment.dataset for experiment in experiments))
        self.sets = [dataset.load() for dataset in self._datasets]
        self.assignment = Assignment(
            numbered([experiment.dataset for experiment in experiments]),
            tuple(dataset.seed for dataset in self._datasets),
        )
        for experiment, number in zip(experiments, self.assignment.of, strict=True):
            experiment.check_data(self.sets[number])
        for number, data in enumerate(self.sets[1:], start=1):
            if _size(data) != _size(self.sets[0]):
                raise InvalidInput(
                    f"The data of run {self.assignment.of.index(number) + 1} of a population have other "
                    "shapes or numbers of examples than those of run 1; train it on its own.",
                    "dataset",
                )

    @property
    def first(self) -> Data:
        """The data set of the first run; all have the same shapes."""
        return self.sets[0]

    def of_run(self, run: int) -> Data:
        """Return the data set of a run."""
        return self.sets[self.assignment.of[run]]

    def parts(self, name: str) -> list[Part]:
        """Return a part of each data set.

        Args:
            name: one of :data:`PARTS`.
        """
        return [getattr(data, name) for data in self.sets]

    def fresh(self, device: str, dtype: torch.dtype) -> list[FreshExamples]:
        """Return what draws fresh examples of each data set; empty where they are not endless."""
        if not self._datasets[0].endless:
            return []
        return [
            FreshExamples(dataset, data, device, dtype)
            for dataset, data in zip(self._datasets, self.sets, strict=True)
        ]


def objective_of(experiments: Sequence[Experiment], data: RunData) -> Objective:
    """Return the objective of the runs, as they are before their first step."""
    first = experiments[0]
    samples = [torch.from_numpy(one.training.x) for one in data.sets]
    alike = {(experiment.loss, experiment.schedules) for experiment in experiments}
    if len(samples) == 1 and len(alike) == 1:
        objective = Objective(first.model, first.loss, data.first.shape, samples[0])
    else:
        objective = RunObjective(
            first.model,
            [experiment.loss for experiment in experiments],
            data.first.shape,
            torch.stack(samples) if first.model.normalizes() else None,
            data.assignment.of,
        )
    objective.begin([experiment.general.seed for experiment in experiments])
    return objective


def numbered(values: Sequence[Hashable]) -> tuple[int, ...]:
    """Return for each value a number; equal values have the same."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _size(data: Data) -> tuple[object, ...]:
    return (data.shape, *(len(getattr(data, part)) for part in PARTS))
