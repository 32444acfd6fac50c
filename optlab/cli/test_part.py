"""The performance on the test part in words: numbers, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optlab.cli.output import say, say_table

MAX_COLUMNS = 12
"""Classes up to which the whole confusion matrix is printed."""
MAX_CONFUSIONS = 10
"""Pairs of classes that are listed in its place where there are more."""


def say_gaps(values: Mapping[str, float | None]) -> None:
    """Print by how much the test part is worse than the others, and the figures of regression."""
    form = "+.4g" if values.get("test_error") is None else "+.2%"
    gaps = [
        f"{gap:{form}} against {part}"
        for key, part in (("train", "training"), ("validation", "validation"))
        if (gap := values.get(f"test_minus_{key}")) is not None
    ]
    if gaps:
        what = "loss" if values.get("test_error") is None else "error"
        say(f"  {f'gap of test {what}':<18} {', '.join(gaps)}")
    r2, absolute = values.get("test_r2"), values.get("test_mean_absolute_error")
    if absolute is not None:
        share = "" if r2 is None else f", R² {r2:.4g}"
        say(f"  test abs. error    {absolute:.4g}{share}")


def say_confusion(
    confusion: Sequence[Sequence[int]], names: Sequence[str], part: str = "test"
) -> None:
    """Print the confusion matrix of a part, or of a large one the most frequent confusions."""
    if not confusion:
        return
    total = sum(map(sum, confusion))
    if len(names) <= MAX_COLUMNS:
        say(
            f"{part.capitalize()} part, {total:,} examples: true class by row, predicted class by column"
        )
        say_table(
            ("", *names),
            [(name, *map(str, row)) for name, row in zip(names, confusion, strict=True)],
        )
        return
    pairs = sorted(
        (
            (count, true, predicted)
            for true, row in enumerate(confusion)
            for predicted, count in enumerate(row)
            if count and true != predicted
        ),
        key=lambda pair: (-pair[0], *pair[1:]),
    )[:MAX_CONFUSIONS]
    if not pairs:
        say(f"{part.capitalize()} part, {total:,} examples: no class is confused with another")
        return
    say(f"{part.capitalize()} part, {total:,} examples: the most frequent confusions")
    say_table(
        ("True class", "Predicted class", "Examples"),
        [(names[true], names[predicted], f"{count:,}") for count, true, predicted in pairs],
    )
