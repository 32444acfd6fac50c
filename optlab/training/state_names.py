"""Names in the state of a group of runs: the rule's own entries have plain ones."""

from __future__ import annotations

from optlab.objective.run_states import MODEL

AVERAGING = "averaging."
"""Prefix of the entries of the average."""
DELAY = "delay."
"""Prefix of the parameters of past steps, followed by how many steps ago."""
BEST = "best.theta"
"""The parameters of the best evaluation."""
BEST_MODEL = "best.model."
"""Prefix of what the model had beside its parameters at the best evaluation."""


def is_own(name: str) -> bool:
    """Return whether an entry belongs to the update rule."""
    return not name.startswith((AVERAGING, DELAY, BEST, MODEL, BEST_MODEL))
