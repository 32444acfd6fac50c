"""When a run ends at the latest, and what is measured on the way."""

from __future__ import annotations

from optlab.fields import FieldSet, Texts, real, texts, whole


class Budget(FieldSet):
    """When a run ends at the latest."""

    steps: int = whole(2000, "Steps", least=1, most=10**12, log=True, slider=(10, 1_000_000), help="Number of updates.")
    seconds: float = real(
        0.0,
        "Seconds",
        least=0.0,
        help="Training time after which the run ends; 0 for no limit. A limit in time makes the end depend on the machine.",
    )


class MeasurePlan(FieldSet):
    """What is measured, and when."""

    evaluate_every: int = whole(
        0,
        "Evaluate every",
        least=0,
        unit="steps",
        help="Steps between evaluations on the whole training and validation sets; 0 for once an epoch.",
    )
    gradient_every: int = whole(
        0,
        "Full gradient every",
        least=0,
        unit="steps",
        help="Steps between evaluations of the gradient on the whole training set, on which the gradient-norm test rests. It is taken at the first evaluation "
        "after each multiple, at the start and at the end; 0 for every 20 epochs.",
        why="20 epochs, because it costs a pass forwards and backwards through the training set: so it takes at most a twentieth of the examples that training "
        "takes, and less of the time, because large batches are fast.",
    )
    fresh: int = whole(
        0,
        "Fresh examples",
        unit="examples",
        least=0,
        most=1_000_000,
        slider=(0, 20_000),
        help="Examples drawn from the distribution at each evaluation, to measure the risk on and its gap to the training loss; 0 for none. For data sets "
        "whose distribution is known; there is no risk to measure for others.",
        why="None, because it costs: each evaluation passes through so many examples more, usually several times the training set. 10,000 tell a "
        "0-1 risk to about half a percent.",
    )
    weights: int = whole(
        12,
        "Followed weights",
        least=0,
        most=256,
        slider=(0, 64),
        help="Number of weights, spread over all tensors, whose values are recorded at every step.",
    )
    chosen: Texts = texts((), "Chosen weights", help="Weights to follow by name, as layers.0.weight[3,5]; in place of the spread ones.")
