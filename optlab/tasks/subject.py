"""Weights to look at, with the objective on the data that they were trained on: those of a stored
run, or of an experiment that is trained for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.store import Store
from optlab.training.trainer import Trainer

_PATH_POINTS = 200
"""Points that are kept of a path, about."""


@dataclass(frozen=True)
class Subject:
    """Weights, and the objective on the data that they were trained on; everything in double
    precision on the CPU.

    Attributes:
        title: of the experiment. step: updates behind the weights.
        theta: ``[1, P]``. x, y: training examples, ``[n, …]``. path: the weights on the way, ``[K,
            P]``, those at the end last; at_steps: the step of each.
    """

    title: str
    step: int
    objective: Objective
    theta: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    path: torch.Tensor
    at_steps: tuple[int, ...]

    @property
    def landscape(self) -> ObjectiveLandscape:
        """The objective on these examples."""
        return ObjectiveLandscape(self.objective, self.x, self.y)


def trained(experiment: Experiment, steps: int, examples: int = 0) -> Subject:
    """An experiment, trained for ``steps`` updates.

    Args:
        examples: use at most so many training examples to look at it; 0 for all.

    Raises:
        InvalidInput: the experiment cannot run.
        OptLabError: it diverges on the way.
    """
    trainer = Trainer([experiment.with_value("device", "cpu")])
    path, at_steps = [trainer.theta.double().clone()], [0]
    every = max(1, -(-steps // _PATH_POINTS))
    for step in range(1, steps + 1):
        trainer.advance()
        if step % every == 0 or step == steps:
            trainer.sync_divergence()
            if not trainer.alive:
                raise OptLabError(
                    f"The run diverged within {step} steps, so there are no weights to look at; lower the learning rate or the number of steps."
                )
            path.append(trainer.theta.double().clone())
            at_steps.append(step)
    return _subject(trainer, torch.cat(path), tuple(at_steps), examples)


def stored(run: str, examples: int = 0) -> Subject:
    """A stored run's latest weights, and those of its snapshots as its path.

    Args:
        run: its name, or the beginning of it. examples: as for :func:`trained`.

    Raises:
        InvalidInput: there is no such run, or it has no weights.
    """
    with Store.open_readonly() as store:
        record = store.run(run)
        snapshots = [store.load_snapshot(found) for found in store.snapshots(record.id)]
    if not snapshots:
        raise InvalidInput(f"The run {record.id} has no stored weights to look at.")
    experiment = Experiment.from_toml(record.experiment).with_value("device", "cpu")
    path = torch.stack([torch.from_numpy(snapshot.theta.copy()).double() for snapshot in snapshots])
    return _subject(
        Trainer([experiment], [snapshots[-1]]),
        path,
        tuple(snapshot.step for snapshot in snapshots),
        examples,
    )


def _subject(
    trainer: Trainer, path: torch.Tensor, at_steps: tuple[int, ...], examples: int
) -> Subject:
    experiment = trainer.requested[0]
    part = experiment.dataset.load().training
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    some = slice(0, examples or len(x))
    return Subject(
        experiment.title(),
        at_steps[-1],
        trainer.objective,
        path[-1:],
        x[some],
        y[some],
        path,
        at_steps,
    )
