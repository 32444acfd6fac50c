"""Training for a probe: in this process, without a record."""

from __future__ import annotations

from collections.abc import Callable, Generator

from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

_STEPS_BETWEEN_SIGNS = 50


def _nothing(step: int, trainer: Trainer) -> None:
    """Change nothing."""


def trained(
    experiment: Experiment,
    steps: int,
    before: Callable[[int, Trainer], None] = _nothing,
    after: Callable[[Trainer], None] = lambda trainer: None,
) -> Generator[float, None, Trainer]:
    """Train an experiment, and return the trainer; its run has ended where it diverged.

    Yield the share that is done.

    Args:
        steps: how many.
        before: called before each step with the number of completed steps, to change something.
        after: called after each step, to look.

    Raises:
        InvalidInput: the experiment cannot be trained.
    """
    trainer = Trainer([experiment])
    yield 0.0
    for step in range(steps):
        before(step, trainer)
        trainer.advance()
        if not trainer.alive:
            break
        after(trainer)
        if step % _STEPS_BETWEEN_SIGNS == 0:
            yield step / steps
    trainer.sync_divergence()
    return trainer
