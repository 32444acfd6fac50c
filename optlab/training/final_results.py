"""What is known of runs at their end: every evaluation measure, the test part, and what was clipped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optlab.catalogue.measures.steps import ClippedShare
from optlab.training.trainer import Trainer

ALWAYS = (
    "train_loss",
    "validation_loss",
    "train_error",
    "validation_error",
    "test_loss",
    "test_error",
    "gradient_norm",
    "gradient_norm_at_start",
)
"""Names that every run has, None where one has no meaning; others are there where they exist."""


@dataclass(frozen=True)
class FinalResult:
    """What is known of one run at its end.

    Attributes:
        values: numbers by name, in the order in which they are shown: :data:`ALWAYS`, and the other
            evaluation measures that exist for the run. ``gradient_norm`` is that of the full
            gradient. ``test_minus_train`` and ``test_minus_validation`` are the generalization gap
            and the gap that choices by the validation part leave, of the 0-1 error for classes and
            of the loss otherwise. ``clipped_share`` is the mean over all steps of the run.
        confusion: how many examples of the test part of class i (row) are predicted to be of class
            j; () for regression and without a test part.
    """

    values: Mapping[str, float | None]
    confusion: tuple[tuple[int, ...], ...] = ()


def final_results(trainer: Trainer) -> list[FinalResult]:
    """Return the final result of each run, at the parameters as they are now."""
    test = trainer.test_performance()
    columns: dict[str, list[float]] = {
        name: value.tolist()
        for name, value in (trainer.evaluate() | ({} if test is None else test.values())).items()
    }
    columns["gradient_norm"] = trainer.full_gradient_norm().tolist()
    matrices = [] if test is None or test.confusion is None else test.confusion.tolist()
    results = []
    for run in range(trainer.runs):
        values: dict[str, float | None] = dict.fromkeys(ALWAYS)
        values |= {name: column[run] for name, column in columns.items()}
        if math.isnan(values.get("test_r2") or 0.0):
            del values["test_r2"]  # the test part of this run does not vary
        values["gradient_norm_at_start"] = trainer.norms_at_start[run]
        values |= gaps(values)
        clipped = trainer.clipped_share(run)
        if clipped is not None:
            values[ClippedShare.name] = clipped
        confusion = tuple(map(tuple, matrices[run])) if matrices else ()
        results.append(FinalResult(values, confusion))
    return results


def gaps(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return by how much the test part is worse than the other parts, where both are known."""
    of = "loss" if values.get("test_error") is None else "error"
    test = values.get(f"test_{of}")
    return {
        f"test_minus_{part}": test - other
        for part in ("train", "validation")
        if test is not None and (other := values.get(f"{part}_{of}")) is not None
    }
