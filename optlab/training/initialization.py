"""Where a run starts: its initializer's draw, with the training set at hand, and what pretraining
makes of it.

The start is computed on the CPU in float64, whatever the device and precision of the run, so that
it is the same everywhere.
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


def starts(
    experiments: Sequence[Experiment],
    objective: Objective,
    training: Part,
    *,
    pretrain: bool = True,
) -> tuple[torch.Tensor, dict[int, str]]:
    """Initial parameters ``[R, P]`` of runs, float64 on the CPU, and run → what there is to tell
    about its start, in words.

    Runs that start alike share the work.

    Args:
        pretrain: whether to pretrain where that is asked for; not needed where other parameters
            take the place of these.
    """
    known: dict[tuple[object, ...], tuple[torch.Tensor, str]] = {}
    found: list[torch.Tensor] = []
    notes: dict[int, str] = {}
    for run, experiment in enumerate(experiments):
        key = (experiment.general.seed, experiment.initializer, experiment.pretraining)
        if key not in known:
            theta, words = start(experiment, objective, training), ""
            if pretrain and experiment.pretraining.active:
                done = pretrained(experiment, objective, training, theta)
                theta, words = done.theta, done.words
            known[key] = (theta, words)
        theta, words = known[key]
        found.append(theta)
        if words:
            notes[run] = words
    return torch.stack(found), notes


def start(experiment: Experiment, objective: Objective, training: Part) -> torch.Tensor:
    """The initializer's draw ``[P]`` for a run, float64 on the CPU."""
    source = generator(experiment.general.seed, "start")
    return experiment.initializer.start(
        objective.layout, source, initialization_context(objective, training)
    )


def initialization_context(objective: Objective, training: Part) -> InitializationContext:
    """What an initializer may look at, see there; nothing is computed until it does."""
    x, y = torch.from_numpy(training.x), torch.from_numpy(training.y)

    def losses(theta: torch.Tensor) -> float:
        everyone = theta.unsqueeze(0)
        loss = objective.evaluate(everyone, x, y).losses.mean()
        return float(objective.penalized(loss.unsqueeze(0), everyone))

    def traced(theta: torch.Tensor, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def keep(name: str, value: torch.Tensor) -> None:
            found[name] = value[0].clone()

        with torch.no_grad():
            objective.outputs(
                theta.unsqueeze(0), x[rows].unsqueeze(0), ForwardContext(training=True, trace=keep)
            )
        return found

    targets = objective.model.targets(x.unsqueeze(0), y.unsqueeze(0))[0]
    return InitializationContext(targets, objective.shape.outputs, losses, traced)
