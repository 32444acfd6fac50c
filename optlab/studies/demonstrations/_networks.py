"""Small networks in double precision on fixed data, and descents from many starts at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from optlab.catalogue.initializers.base import Start
from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.data import Data, DataShape, Part
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.studies.surfaces.descent import Contender
from optlab.training.initialization import initialization_context
from optlab.training.population import Population
from optlab.training.stepping import ProposedStep


@dataclass(frozen=True)
class Network:
    """An objective and the examples on which it is evaluated, float64 on the CPU.

    Attributes:
        x, y: ``[n, …]``. training: the same in NumPy.
    """

    objective: Objective
    training: Part
    x: torch.Tensor
    y: torch.Tensor

    @property
    def landscape(self) -> ObjectiveLandscape:
        """The objective on all examples, as a function of θ."""
        return ObjectiveLandscape(self.objective, self.x, self.y)

    def starts(self, seeds: Sequence[int], initializer: Mapping[str, Any]) -> torch.Tensor:
        """Return a draw of an initializer for each seed, ``[R, P]``."""
        rule = cast(Start, registry.build("initializer", initializer))
        seen = initialization_context(self.objective, self.training)
        return torch.stack(
            [rule.start(self.objective.layout, generator(seed, "start"), seen) for seed in seeds]
        )


def network(
    dataset: Mapping[str, Any], model: Mapping[str, Any], loss: Mapping[str, Any]
) -> Network:
    """Return a model of the catalogue on all examples of a data set, without a validation set.

    Raises:
        InvalidInput: a name or a value is not allowed.
    """
    given = {"validation": 0.0, "test": 0.0, **dataset}
    data: Data = cast(Any, registry.build("dataset", given)).load()
    return on(data.training, data.shape, model, loss)


def on(
    training: Part, shape: DataShape, model: Mapping[str, Any], loss: Mapping[str, Any]
) -> Network:
    """Return a model of the catalogue on given examples."""
    # As in training: a second thread slows small networks down.
    torch.set_num_threads(1)
    built, own_loss = (
        registry.build(Model, model),
        registry.build(Loss, loss),
    )
    x, y = (
        torch.from_numpy(np.ascontiguousarray(training.x)),
        torch.from_numpy(np.ascontiguousarray(training.y)),
    )
    return Network(Objective(built, own_loss, shape), training, x, y)


def optimizer(name: str, **values: Any) -> Optimizer:
    """Return an optimizer of the catalogue."""
    return cast(Optimizer, registry.build("optimizer", {"name": name, **values}))


def descents(
    objective: Objective,
    x: torch.Tensor,
    y: torch.Tensor,
    theta: torch.Tensor,
    methods: Sequence[Optimizer],
    seeds: Sequence[int] | None = None,
) -> Iterator[ProposedStep]:
    """Yield the steps of R methods from the rows of ``theta`` ``[R, P]`` on one full batch.

    The batch is ``x``, ``y`` ``[n, …]``. The steps are those of the training engine; the new
    parameters are in ``after``. Rows that are no longer finite stay so.
    """
    seeds = list(seeds) if seeds is not None else [0] * len(theta)
    members = [
        Contender(method, (), seed=seed) for method, seed in zip(methods, seeds, strict=True)
    ]
    population = Population(objective, members, theta)
    batch_x, batch_y = (t.expand(len(theta), *t.shape) for t in (x, y))
    while True:
        proposed = population.propose(batch_x, batch_y)
        population.accept(proposed)
        yield proposed
