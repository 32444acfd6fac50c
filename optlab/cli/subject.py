"""What ``optlab critical``, ``spectrum`` and ``slice`` look at: the weights of a stored run, or of an experiment that is trained for a while first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optlab import presets
from optlab.cli.run import changed, load
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.engine.objective import Objective
from optlab.engine.trainer import Trainer
from optlab.errors import InvalidInput, OptLabError
from optlab.experiment import Experiment
from optlab.lazy import torch as _torch
from optlab.store import Store

if TYPE_CHECKING:
    import torch

_PATH_POINTS = 200
"""Points that are kept of a path, about."""


@dataclass(frozen=True)
class Subject:
    """Weights, and the objective on the data that they were trained on; everything in double precision on the CPU.

    Attributes:
        title: of the experiment. source: as it was given. step: updates behind the weights.
        theta: ``[1, P]``. x, y: training examples, ``[n, …]``. path: the weights on the way, ``[K, P]``, those at the end last; at_steps: the step of each.
    """

    title: str
    source: str
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


def subject(source: str, changes: list[str], steps: int, examples: int = 0) -> Subject:
    """Look up a stored run's latest weights, or train an experiment.

    Args:
        source: an experiment file, a preset, or a stored run (its name or the beginning of it).
        changes: ``path=value`` texts for an experiment. steps: updates to train an experiment for. examples: use at most so many training examples; 0 for all.

    Raises:
        InvalidInput: there is no such thing, or it is wrong.
    """
    if steps < 0 or examples < 0:
        raise InvalidInput(f"--steps and --examples must be 0 or more, but they are {steps} and {examples}.")
    if Path(source).is_file() or source in {path.stem for path in presets.files()}:
        trainer, path, at_steps = _trained(changed(load(source), changes), steps)
    else:
        trainer, path, at_steps = _stored(source, changes, steps)
    experiment = trainer.asked[0]
    training = experiment.dataset.load().training
    some = slice(0, examples or len(training))
    return Subject(
        experiment.title(),
        source,
        at_steps[-1],
        trainer.objective,
        path[-1:],
        _torch.from_numpy(training.x[some]),
        _torch.from_numpy(training.y[some]),
        path,
        at_steps,
    )


def _trained(experiment: Experiment, steps: int) -> tuple[Trainer, torch.Tensor, tuple[int, ...]]:
    trainer = Trainer([experiment.with_value("device", "cpu")])
    path, at_steps = [trainer.theta.double().clone()], [0]
    every = max(1, -(-steps // _PATH_POINTS))
    for step in range(1, steps + 1):
        trainer.advance()
        if step % every == 0 or step == steps:
            trainer.settle()
            if not trainer.alive:
                raise OptLabError(f"The run diverged within {step} steps, so there are no weights to look at; lower the learning rate or --steps.")
            path.append(trainer.theta.double().clone())
            at_steps.append(step)
    return trainer, _torch.cat(path), tuple(at_steps)


def _stored(source: str, changes: list[str], steps: int) -> tuple[Trainer, torch.Tensor, tuple[int, ...]]:
    if Path(source).suffix:
        load(source)  # says what is wrong with it as a file
    with Store.open_readonly() as store:
        try:
            record = store.run(source)
        except InvalidInput:
            load(source)  # which names the files and presets that it may have meant
            raise
        if changes or steps:
            raise InvalidInput(f"'{source}' is a stored run, whose latest weights are looked at as they are: --set and --steps do not go with it.")
        snapshots = [store.load_snapshot(found) for found in store.snapshots(record.id)]
    if not snapshots:
        raise InvalidInput(f"The run {record.id} has no stored weights to look at.")
    experiment = Experiment.from_toml(record.experiment).with_value("device", "cpu")
    path = _torch.stack([_torch.from_numpy(snapshot.theta.copy()).double() for snapshot in snapshots])
    return Trainer([experiment], [snapshots[-1]]), path, tuple(snapshot.step for snapshot in snapshots)
