"""The fields of a study's sections that are the same for all arms."""

from __future__ import annotations

from typing import Literal

from optlab.core.fields import FieldSet, Sizes, choice, flag, integer, number, sizes, text

What = Literal[
    "final",
    "first",
    "best",
    "at",
    "when",
    "mean",
    "order",
    "agreement",
    "steps_to",
    "epochs_to",
    "evaluations_to",
    "seconds_to",
]
TO_TARGET: tuple[What, ...] = ("steps_to", "epochs_to", "evaluations_to", "seconds_to")
"""What is counted until a series reaches the target."""
EffectKind = Literal["difference", "ratio", "log-ratio", "slope"]

MAX_SEEDS = 10_000


class Seeds(FieldSet):
    """How often every arm is run, and what varies with the seed."""

    count: int = integer(
        16, "Seeds", ge=1, le=MAX_SEEDS, log=True, slider=(2, 128), help="Runs of each arm."
    )
    first: int = integer(
        0,
        "Master seed",
        ge=0,
        le=2**31 - 1,
        help="The seeds of all runs derive from it; another one repeats the study on fresh seeds.",
    )
    paired: bool = flag(
        True,
        "Paired",
        help="Whether the arms share start, batches and data seed by seed, so that only what "
        "differs between the arms remains in the difference.",
    )
    data: bool = flag(
        False,
        "Data vary, too",
        help="Whether the split of the data, and the draw of generated data, vary with the seed.",
    )
    alone: bool = flag(
        False,
        "One at a time",
        help="Whether each run that decides has the machine for itself, so that its seconds to the "
        "target say something of its arm.",
    )


class Measured(FieldSet):
    """The number of each run that is compared."""

    what: What = choice(
        "final",
        "What",
        help="The final value, the first or the best one of the run, the value at a step or when "
        "another series reaches the target, the mean over all steps (the area under the curve "
        "divided by their number), the order (the slope of the logarithm against that of the "
        "step), the share of readings at which another series moves in the same direction, or what "
        "it takes to reach the target: steps, epochs, gradient evaluations, or seconds.",
    )
    of: str = text(
        "validation_loss",
        "Of",
        help="A measure (optlab list measures), a series of an instrument such as spectrum.top, "
        "or a figure of the run's end such as test_error.",
    )
    step: int = integer(
        0,
        "Step",
        ge=0,
        help="With what = at: number of completed steps. With mean and order: the step from which "
        "on values count.",
    )
    target: float = number(
        0.0, "Target", help="With what = steps_to and the like, and when: the value to reach."
    )
    reached: Literal["below", "above"] = choice(
        "below", "Reached", help="Whether the target is reached at or below it, or at or above it."
    )
    other: str = text(
        "",
        "Other",
        help="With what = when: the measure that reaches the target. With agreement: the measure "
        "whose changes are compared.",
    )
    part: Literal["", "first", "last", "largest", "smallest", "mean", "last/first"] = choice(
        "",
        "Part",
        help="Of a series with several numbers a step, such as one for each layer: which of them, "
        "or the last divided by the first.",
    )
    times: float = number(
        1.0,
        "Times",
        help="The value is multiplied by this before it is compared, so that a statement can say "
        "by how much: a tenth of the start, the rate times an eigenvalue.",
    )


class Decision(FieldSet):
    """The statement, and how it is decided."""

    statement: str = text(
        "",
        "Statement",
        longest=2000,
        help="Arms and what is claimed of them: a < b, a > b, a ~ b (equivalent within the "
        "margin), a != b, several separated by commas; or rises, falls, slope ~ NUMBER for arms "
        "that differ in one number. Empty: a != b for every pair.",
    )
    effect: EffectKind = choice(
        "difference",
        "Effect",
        help="Difference, ratio or difference of logarithms of the two arms; or the slope over "
        "the arms.",
    )
    margin: float = number(
        0.0,
        "Margin",
        ge=0.0,
        help="The smallest effect that matters: 0 for any difference, 1 for any ratio.",
    )
    level: float = number(
        0.95, "Level", ge=0.5, le=0.9999, slider=(0.8, 0.99), help="Confidence of the intervals."
    )
    method: Literal["auto", "t", "bootstrap"] = choice(
        "auto",
        "Interval",
        help="Of Student's t, or a BCa bootstrap. Where values are censored, the interval of a "
        "median by order statistics takes its place.",
    )
    looks: Sizes = sizes(
        (),
        "Looks",
        unit="seeds",
        help="Numbers of seeds after which the study may end early; the level is kept over all of "
        "them. Empty: one look, at the end.",
    )
    along: str = text(
        "",
        "Along",
        help="With rises, falls and slope: path of the field whose value is the horizontal axis; "
        "by default the only number in which the arms differ.",
    )
    axes: Literal["linear", "log-x", "log-y", "log-log"] = choice(
        "linear", "Axes", help="With rises, falls and slope: the axes on which the slope is taken."
    )
