"""The readout of a plot over steps: the values of its curves at the step under the mouse."""

from __future__ import annotations

import math
from collections.abc import Iterable

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.curve import Curve
from optlab.gui.plots.pyramid import Pyramid, Reading
from optlab.gui.plots.ticks import readable

_REACH = 24
"""Pixels beyond the end of a curve within which the readout still shows its value."""


_MAX_ROWS = 14
"""Curves whose values are listed: more would hide the plot."""
_MAX_LINKED = 3
"""Those in a plot that the mouse is not in."""
_SHARE = 0.55
"""Share of the height of a plot that the readout of many curves may take."""
_LONGEST_LABEL = 30
"""Characters of a name."""


def step_readout(
    places: Iterable[tuple[Curve, float, float]],
    head: tuple[str, str],
    colors: PlotColors,
    most: int = _MAX_ROWS,
) -> str:
    """Return an HTML table with the values of curves near a position; "" where none has a value.

    Args:
        places: each curve with the step at the position, and the width of a pixel there, in steps.
        head: name and text of the position.
        colors: of the theme.
        most: curves that are listed, noisy ones last.
    """
    places = list(places)
    rows, crowded = [], any(curve.run for curve, _, _ in places)
    for curve, step, pixel in sorted(places, key=lambda place: place[0].pale):
        reading = _reading(curve.samples, step, _REACH * pixel)
        if reading is not None:
            rows.append(_row(curve, reading, step, pixel, colors, crowded=crowded))
    if not rows:
        return ""
    if len(rows) > most:
        more = len(rows) - most
        rows[most:] = [f"<tr><td></td><td></td><td>and {more} more</td></tr>"]
    name, text = head
    if crowded:
        name, text = text, name
    align = "left" if crowded else "right"
    top = f"<tr><td></td><td>{name}</td><td align='{align}'>&nbsp;{text}</td></tr>"
    return f"<table cellspacing='0' cellpadding='1'>{top}{''.join(rows)}</table>"


def most_rows(lines: float, *, here: bool) -> int:
    """Return how many curves a readout lists: of many runs, as many as leave the plot in sight.

    Args:
        lines: of text that the height of the plot has room for.
        here: whether the mouse is in this plot, and not in a linked one.
    """
    fitting = max(2, int(_SHARE * lines) - 1)
    return min(fitting, _MAX_ROWS if here else _MAX_LINKED)


def _reading(samples: Pyramid | None, step: float, reach: float) -> Reading | None:
    if (
        samples is None
        or samples.first is None
        or samples.last is None
        or not samples.first - reach <= step <= samples.last + reach
    ):
        return None
    return samples.reading(step)


def _row(
    curve: Curve,
    reading: Reading,
    step: float,
    pixel: float,
    colors: PlotColors,
    *,
    crowded: bool,
) -> str:
    value = readable(reading.lowest)
    if reading.highest != reading.lowest and not math.isnan(reading.lowest):
        value = f"{value} … {readable(reading.highest)}"
    # An evaluation may be some steps away from the mouse; show where it was measured.
    distance = max(reading.first - step, step - reading.last, 0.0)
    faint = mixed(colors.foreground, colors.background, 0.4)
    where = (
        f" <span style='color:{faint}'>at {reading.first:,}</span>"
        if distance > max(2 * pixel, 0.5)
        else ""
    )
    average = _reading(curve.smoothed, step, _REACH * pixel)
    if average is not None:
        value = f"{readable(average.lowest)} <span style='color:{faint}'>({value})</span>"
    label = curve.label
    if len(label) > _LONGEST_LABEL:
        label = f"{label[: _LONGEST_LABEL - 1]}…"
    label = label.replace("&", "&amp;").replace("<", "&lt;")
    if crowded:
        # Names of runs may be long: what a narrow plot cuts off is their end, and not the value.
        return (
            f"<tr><td style='color:{curve.ink(colors)}'>■&nbsp;</td><td>{value}&nbsp;&nbsp;</td>"
            f"<td>{label}{where}</td></tr>"
        )
    return (
        f"<tr><td style='color:{curve.ink(colors)}'>■&nbsp;</td><td>{label}{where}</td>"
        f"<td align='right'>&nbsp;&nbsp;{value}</td></tr>"
    )
