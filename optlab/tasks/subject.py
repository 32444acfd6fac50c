"""Subjects of an analysis: weights, with the objective on the data that they were trained on.

They come from a stored run, or from an experiment that is trained for a number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.objective.objective import Objective
from optlab.store import Store
from optlab.training.trainer import Trainer

_PATH_POINTS = 200
"""Approximate number of points of a path."""


@dataclass(frozen=True)
class Subject:
    """Weights, and the objective on the data that they were trained on.

    Everything is in double precision on the CPU.

    Attributes:
        title: of the experiment.
        step: number of updates that led to the weights.
        objective: of the experiment.
        theta: ``[1, P]``.
        x, y: training examples, ``[n, …]``.
        path: weights during training, ``[K, P]``, the final ones last.
        at_steps: the step of each.
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
    """Train an experiment for ``steps`` updates.

    Args:
        experiment: to train.
        steps: number of updates.
        examples: maximum number of training examples in the subject; 0 for all.

    Raises:
        InvalidInput: the experiment cannot run.
        OptLabError: it diverges.
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
                    f"The run diverged within {step} steps, so it has no weights; "
                    "lower the learning rate or the number of steps."
                )
            path.append(trainer.theta.double().clone())
            at_steps.append(step)
    return _subject(trainer, torch.cat(path), tuple(at_steps), examples)


def stored(run: str, examples: int = 0, *, changed_data: bool = False) -> Subject:
    """Return the latest weights of a stored run, with its snapshots as the path.

    Args:
        run: its id, or a unique prefix of it.
        examples: as for :func:`trained`.
        changed_data: whether to go on although the files that the run has read have changed.

    Raises:
        InvalidInput: there is no such run, it has no weights, or its files have changed.
        StoreError: it cannot be read.
    """
    with Store.open_readonly() as store:
        record = store.run(run)
        kept = store.snapshots(record.id)
        # As many points as a path has, evenly chosen from the last to the first.
        every = max(1, -(-len(kept) // _PATH_POINTS))
        snapshots = [store.load_snapshot(one) for one in kept[::-1][::every][::-1]]
    if not snapshots:
        raise InvalidInput(f"Run {record.id} has no stored weights; choose a run with a snapshot.")
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    ).with_value("device", "cpu")
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
    used = slice(0, examples or len(x))
    return Subject(
        experiment.title(),
        at_steps[-1],
        trainer.objective,
        path[-1:],
        x[used],
        y[used],
        path,
        at_steps,
    )
