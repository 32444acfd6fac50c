"""Small networks in double precision on fixed data, and descents of many copies of one at once:
what several benches stand on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from optlab.catalogue.continuation.base import Continuation
from optlab.catalogue.initializers.base import Initializer
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
from optlab.training.population import groups
from optlab.training.stepping import Stepper, Taken


@dataclass(frozen=True)
class Network:
    """An objective and the examples that it is taken on, float64 on the CPU.

    Attributes:
        x, y: ``[n, …]``. training: the same in NumPy.
    """

    objective: Objective
    training: Part
    x: torch.Tensor
    y: torch.Tensor

    @property
    def landscape(self) -> ObjectiveLandscape:
        """The objective on all the examples, as a function of θ."""
        return ObjectiveLandscape(self.objective, self.x, self.y)

    def starts(self, seeds: Sequence[int], initializer: Mapping[str, Any]) -> torch.Tensor:
        """A draw of an initializer for each seed, ``[R, P]``."""
        rule = registry.build(Initializer, initializer)
        seen = initialization_context(self.objective, self.training)
        return torch.stack(
            [rule.start(self.objective.layout, generator(seed, "start"), seen) for seed in seeds]
        )


def network(
    dataset: Mapping[str, Any], model: Mapping[str, Any], loss: Mapping[str, Any]
) -> Network:
    """A model of the catalogue on all examples of a data set of it: nothing is held back, as
    nothing is validated.

    Raises:
        InvalidInput: a name or value is wrong.
    """
    given = {"validation": 0.0, "test": 0.0, **dataset}
    data: Data = cast(Any, registry.build("dataset", given)).load()
    return on(data.training, data.shape, model, loss)


def on(
    training: Part, shape: DataShape, model: Mapping[str, Any], loss: Mapping[str, Any]
) -> Network:
    """A model of the catalogue on examples of one's own."""
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
    """An optimizer of the catalogue."""
    return registry.build(Optimizer, {"name": name, **values})


def descents(
    objective: Objective,
    x: torch.Tensor,
    y: torch.Tensor,
    theta: torch.Tensor,
    methods: Sequence[Optimizer],
    seeds: Sequence[int] | None = None,
) -> Iterator[Taken]:
    """Let R methods take step after step, each from its own row of ``theta`` ``[R, P]``, on the
    same full batch ``x``, ``y`` ``[n, …]``.

    The engine's own steps: what is yielded is what it computed in each, the new parameters in
    ``after``. Rows that are no longer finite stay so.
    """
    seeds = list(seeds) if seeds is not None else [0] * len(theta)
    members = [
        Contender(method, (), seed=seed) for method, seed in zip(methods, seeds, strict=True)
    ]
    parts = groups(members, theta, objective.layout)
    stepper = Stepper(
        objective,
        parts,
        registry.build(Continuation, {"name": "none"}),
        seeds,
    )
    batch_x, batch_y = (t.expand(len(theta), *t.shape) for t in (x, y))
    step = 0
    while True:
        taken = stepper.take(theta, step, batch_x, batch_y)
        for group, state in zip(parts, taken.states, strict=True):
            group.state = state
        theta = taken.after
        yield taken
        step += 1
