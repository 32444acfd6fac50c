"""The readout of a plot over steps: the values of its curves at the step under the mouse."""

from __future__ import annotations

import math
from collections.abc import Iterable

from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.curve import Curve
from optlab.gui.plots.pyramid import Reading
from optlab.gui.plots.ticks import readable

_REACH = 24
"""Pixels beyond the end of a curve within which the readout still shows its value."""


def step_readout(curves: Iterable[Curve], step: float, pixel: float, colors: PlotColors) -> str:
    """Return an HTML table with the values of curves near a step; "" where none has a value.

    Args:
        pixel: width of a pixel at that step, in steps.
    """
    rows = []
    for curve in curves:
        reading = _reading(curve, step, _REACH * pixel)
        if reading is not None:
            rows.append(_row(curve, reading, step, pixel, colors))
    if not rows:
        return ""
    head = f"<tr><td></td><td>Step</td><td align='right'>&nbsp;{round(step):,}</td></tr>"
    return f"<table cellspacing='0' cellpadding='1'>{head}{''.join(rows)}</table>"


def _reading(curve: Curve, step: float, reach: float) -> Reading | None:
    samples = curve.samples
    if (
        samples.first is None
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
    label = curve.label.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<tr><td style='color:{curve.ink(colors)}'>■&nbsp;</td><td>{label}{where}</td>"
        f"<td align='right'>&nbsp;&nbsp;{value}</td></tr>"
    )
