"""Training for a probe: in this process, without a record."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

_STEPS_BETWEEN_SIGNS = 50


def trained(
    experiment: Experiment,
    steps: int,
    changes: Mapping[int, Mapping[str, float]] | None = None,
) -> Generator[float, None, Trainer]:
    """Train an experiment, and return the trainer; it has ended where the run diverged.

    Yield the share that is done.

    Args:
        steps: how many.
        changes: number of completed steps → dotted path → value that the next step uses.

    Raises:
        InvalidInput: the experiment cannot be trained.
    """
    trainer = Trainer([experiment])
    yield 0.0
    for step in range(steps):
        for path, value in (changes or {}).get(step, {}).items():
            trainer.set_value(path, value)
        trainer.advance()
        if step % _STEPS_BETWEEN_SIGNS == 0:
            trainer.sync_divergence()
            if not trainer.alive:
                break
            yield step / steps
    trainer.sync_divergence()
    return trainer
