"""Overfitting: the validation loss rises while the training loss still falls."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, short

_EVALUATIONS = 6
_RISE = 0.05


def examine(history: RunHistory) -> Finding | None:
    """Return whether the run overfits (needs ``validation_loss``)."""
    training, validation = history.values("train_loss"), history.values("validation_loss")
    if len(validation) < _EVALUATIONS or len(training) != len(validation):
        return None
    lowest = int(validation.argmin())
    best, now = float(validation[lowest]), float(validation[-1])
    if (
        lowest >= len(validation) - 3
        or now <= best * (1.0 + _RISE)
        or training[-1] >= training[lowest]
    ):
        return None
    steps, _ = history.series["validation_loss"]
    stops = history.experiment.stopping.keeps_best
    return Finding(
        "overfitting",
        "The run overfits: the training loss still falls while the validation loss rises.",
        f"The validation loss was lowest, {short(best)}, after {int(steps[lowest]):,} steps and "
        "is now "
        f"{short(now)}; since then the training loss has fallen from "
        f"{short(float(training[lowest]))} "
        f"to {short(float(training[-1]))}.",
        0.6,
        (
            *(() if history.ended else (Remedy("Stop now", stop=True),)),
            *(
                ()
                if stops
                else (
                    Remedy(
                        "Use early stopping in the next run",
                        {"stopping.name": "early"},
                        live=False,
                    ),
                )
            ),
        ),
    )
