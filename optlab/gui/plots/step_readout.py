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


_MOST_ROWS = 14
"""Curves whose values are listed: more would hide the plot."""


def step_readout(
    places: Iterable[tuple[Curve, float, float]], head: tuple[str, str], colors: PlotColors
) -> str:
    """Return an HTML table with the values of curves near a position; "" where none has a value.

    Args:
        places: each curve with the step at the position, and the width of a pixel there, in steps.
        head: name and text of the position.
        colors: of the theme.
    """
    rows = []
    for curve, step, pixel in places:
        reading = _reading(curve.samples, step, _REACH * pixel)
        if reading is not None:
            rows.append(_row(curve, reading, step, pixel, colors))
    if not rows:
        return ""
    if len(rows) > _MOST_ROWS:
        more = len(rows) - _MOST_ROWS
        rows[_MOST_ROWS:] = [f"<tr><td></td><td>and {more} more</td><td></td></tr>"]
    name, text = head
    top = f"<tr><td></td><td>{name}</td><td align='right'>&nbsp;{text}</td></tr>"
    return f"<table cellspacing='0' cellpadding='1'>{top}{''.join(rows)}</table>"


def _reading(samples: Pyramid | None, step: float, reach: float) -> Reading | None:
    if (
        samples is None
        or samples.first is None
        or samples.last is None
        or not samples.first - reach <= step <= samples.last + reach
    ):
        return None
    return samples.reading(step)


def _row(curve: Curve, reading: Reading, step: float, pixel: float, colors: PlotColors) -> str:
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
    label = curve.label.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<tr><td style='color:{curve.ink(colors)}'>■&nbsp;</td><td>{label}{where}</td>"
        f"<td align='right'>&nbsp;&nbsp;{value}</td></tr>"
    )
