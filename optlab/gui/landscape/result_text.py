"""Results of the landscape window as text and as the rows of its tables."""

from __future__ import annotations

import html

from optlab.core.limits import MAX_WHOLE_SPECTRUM
from optlab.gui.plots.ticks import readable
from optlab.tasks.landscape import (
    ESCAPE_STEPS,
    START_OFFSET,
    CriticalPointResult,
    SpectrumResult,
)


def escape_table(result: CriticalPointResult) -> str:
    """Return a table of where methods end that start beside the critical point."""
    if not result.escapes:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(label)}&nbsp;&nbsp;</td>"
        f"<td align='right'>{readable(objective, 5)}&nbsp;&nbsp;</td>"
        f"<td align='right'>{readable(distance, 3)}</td></tr>"
        for label, objective, distance in result.escapes
    )
    head = (
        "<tr><td></td><td align='right'>objective&nbsp;&nbsp;</td>"
        "<td align='right'>distance</td></tr>"
    )
    return (
        f"<p><b>After {ESCAPE_STEPS} steps from a point at a distance of {START_OFFSET:g}:</b></p>"
        f"<table>{head}{rows}</table>"
    )


def eigenvalue_rows(result: SpectrumResult) -> list[tuple[str, float]]:
    """Return name and value of all eigenvalues, or of those at both ends, the largest first."""
    if len(result.whole):
        return [
            (f"λ{_subscript(number)}", float(value))
            for number, value in enumerate(result.whole[::-1], 1)
        ]
    rows = [(f"λ{_subscript(number)}", float(value)) for number, value in enumerate(result.top, 1)]
    return rows + [
        (f"λ₋{_subscript(number)}" if number > 1 else "smallest", float(value))
        for number, value in reversed(list(enumerate(result.bottom, 1)))
    ]


def sign_counts(result: SpectrumResult) -> str:
    """Return how many eigenvalues have which sign, where all were computed."""
    if result.positive is None:
        return (
            f"signs are counted up to {MAX_WHOLE_SPECTRUM:,} parameters, where all eigenvalues are "
            "computed"
        )
    return (
        f"of {result.parameters:,} eigenvalues {result.negative:,} are negative, {result.zero:,} "
        f"zero and {result.positive:,} positive"
    )


def _subscript(number: int) -> str:
    """Return a number in subscript digits."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
