"""The start of a run: its initializer's draw, and what pretraining makes of it.

The initializer may use the training set. The start is computed on the CPU in float64, whatever the
device and precision of the run, so that it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from optlab.catalogue.initializers.base import InitializationContext
from optlab.catalogue.models.base import ForwardContext
from optlab.core.data import Part
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.training.pretraining import pretrained
from optlab.training.run_data import RunData


def starts(
    experiments: Sequence[Experiment],
    objective: Objective,
    data: RunData,
    *,
    pretrain: bool = True,
) -> tuple[torch.Tensor, dict[int, str]]:
    """Return initial parameters ``[R, P]``, float64 on the CPU, and run → a note about its start.

    Runs that start alike share the work.

    Args:
        objective: of the runs. data: theirs.
        pretrain: whether to pretrain where the experiment requests it; not needed where other
            parameters replace these.
    """
    known: dict[tuple[object, ...], tuple[torch.Tensor, str]] = {}
    rows: list[torch.Tensor] = []
    notes: dict[int, str] = {}
    for run, experiment in enumerate(experiments):
        key = (
            experiment.general.seed,
            experiment.initializer,
            experiment.pretraining,
            experiment.loss,
            data.assignment.of[run],
        )
        if key not in known:
            own, training = objective.selected([run]), data.of_run(run).training
            theta, note = start(experiment, own, training), ""
            if pretrain and experiment.pretraining.active:
                done = pretrained(experiment, own, training, theta)
                theta, note = done.theta, done.words
            known[key] = (theta, note)
        theta, note = known[key]
        rows.append(theta)
        if note:
            notes[run] = note
    return torch.stack(rows), notes


def start(experiment: Experiment, objective: Objective, training: Part) -> torch.Tensor:
    """Return the initializer's draw ``[P]`` for a run, float64 on the CPU."""
    source = generator(experiment.general.seed, "start")
    return experiment.initializer.start(
        objective.layout, source, initialization_context(objective, training)
    )


def initialization_context(objective: Objective, training: Part) -> InitializationContext:
    """Return what an initializer may use, computed on demand."""
    x, y = torch.from_numpy(training.x), torch.from_numpy(training.y)

    def losses(theta: torch.Tensor) -> float:
        population = theta.unsqueeze(0)
        loss = objective.evaluate(population, x, y).losses.mean()
        return float(objective.penalized(loss.unsqueeze(0), population))

    def traced(theta: torch.Tensor, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        values: dict[str, torch.Tensor] = {}

        def keep(name: str, value: torch.Tensor) -> None:
            values[name] = value[0].clone()

        with torch.no_grad():
            objective.outputs(
                theta.unsqueeze(0), x[rows].unsqueeze(0), ForwardContext(training=True, trace=keep)
            )
        return values

    targets = objective.model.targets(x.unsqueeze(0), y.unsqueeze(0))[0]

    def built(source: torch.Generator) -> torch.Tensor:
        return objective.model.built_start(objective.shape, source)

    return InitializationContext(
        x,
        targets,
        objective.shape.outputs,
        losses,
        traced,
        built if objective.model.has_built_start() else None,
    )
