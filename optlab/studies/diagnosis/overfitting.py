"""Overfitting: the validation loss has turned while the training loss goes on falling."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, short

_EVALUATIONS = 6
_RISE = 0.05


def examine(history: RunHistory) -> Finding | None:
    """Needs evaluations with a validation part."""
    training, validation = history.values("train_loss"), history.values("validation_loss")
    if len(validation) < _EVALUATIONS or len(training) != len(validation):
        return None
    place = int(validation.argmin())
    best, now = float(validation[place]), float(validation[-1])
    if (
        place >= len(validation) - 3
        or now <= best * (1.0 + _RISE)
        or training[-1] >= training[place]
    ):
        return None
    steps, _ = history.series["validation_loss"]
    stops = history.experiment.stopping.keeps_best
    return Finding(
        "overfitting",
        "The run overfits: the training loss goes on falling while the validation loss has turned.",
        f"The validation loss was lowest, {short(best)}, after {int(steps[place]):,} steps and is {short(now)} now; the training loss fell from "
        f"{short(float(training[place]))} to {short(float(training[-1]))}.",
        0.6,
        (
            Remedy("Stop now", stop=True),
            *(
                ()
                if stops
                else (
                    Remedy(
                        "Stop early next time, and keep the best",
                        {"stopping.name": "early"},
                        live=False,
                    ),
                )
            ),
        ),
    )
