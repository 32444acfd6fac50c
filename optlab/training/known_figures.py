"""What is known of a run at an evaluation beside its measures, for stopping rules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optlab.catalogue.stopping.base import EVALUATIONS

if TYPE_CHECKING:
    from optlab.training.trainer import Trainer


def known_figures(trainer: Trainer, run: int) -> dict[str, float]:
    """Return the norm of the full gradient at the start, and the gradients evaluated so far.

    Args:
        run: its row in the population.

    Returns:
        Name → value of those that are known.
    """
    counts = trainer.steps.evaluations
    figures = {
        "gradient_norm_at_start": trainer.norms_at_start[run],
        # Without a count each step evaluates one.
        EVALUATIONS: float(trainer.step if counts is None else counts[run]),
    }
    return {
        name: value
        for name, value in figures.items()
        if value is not None and not math.isnan(value)
    }
