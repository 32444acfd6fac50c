"""The charts of a study's page, as SVG texts that stand in a page without other files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from optlab.core.palette import LIGHT, PlotColors
from optlab.studies.figures.page import require, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_WIDTH = 7.2
"""Inches of a chart."""
_ROW = 0.34
_OPEN = 0.06
"""Share of the axis that an open end of an interval takes."""


@dataclass(frozen=True)
class EffectRow:
    """One comparison in a chart of effects.

    Attributes:
        label: of the row. effect: NaN where it is not known. low, high: ends of the interval,
            infinite where they are open.
    """

    label: str
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class ArmValues:
    """The values of one arm.

    Attributes:
        low, high: each value, ``[n]``; ``high`` is infinite where it is censored, ``low`` minus
            infinity where only an upper bound is known. mean, interval: None where unknown.
    """

    name: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ArmCurves:
    """A series of all runs of an arm.

    Attributes:
        steps: ``[n]``. values: ``[n, seeds]``, NaN where a run has ended.
    """

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def effects(
    rows: Sequence[EffectRow], margins: tuple[float, float], label: str, *, log: bool
) -> str:
    """Return the chart of effects with their intervals, the margin shaded, as SVG."""
    with _chart(0.9 + _ROW * len(rows)) as (axes, colors, result):
        finite = [
            value
            for row in rows
            for value in (row.effect, row.low, row.high)
            if math.isfinite(value) and (value > 0.0 or not log)
        ]
        finite += [value for value in margins if value > 0.0 or not log]
        low, high = min(finite), max(finite)
        if log:
            axes.set_xscale("log")
            pad = (high / low) ** 0.1 if high > low else 1.1
            ends = low / pad, high * pad
        else:
            pad = 0.1 * (high - low) or 0.5
            ends = low - pad, high + pad
        axes.axvspan(*margins, color=colors.grid, zorder=0)
        axes.axvline(1.0 if log else 0.0, color=colors.foreground, linewidth=0.8)
        for place, row in enumerate(rows):
            begin = row.low if math.isfinite(row.low) and (row.low > 0.0 or not log) else ends[0]
            end = row.high if math.isfinite(row.high) else ends[1]
            axes.plot([begin, end], [place, place], color=colors.palette[0], linewidth=2.0)
            if math.isfinite(row.effect):
                axes.plot([row.effect], [place], "o", color=colors.palette[0], markersize=6)
        axes.set_xlim(*ends)
        if log:
            _plain_numbers(axes.xaxis, *ends)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(label)
        axes.grid(True, axis="x", linewidth=0.6)
    return result[0]


def arms(rows: Sequence[ArmValues], label: str, *, log: bool) -> str:
    """Return the chart of every run's value, with mean and interval of each arm, as SVG.

    A value that is censored is an arrow from its bound.
    """
    with _chart(0.9 + _ROW * len(rows)) as (axes, colors, result):
        if log:
            axes.set_xscale("log")
        for place, row in enumerate(rows):
            color = colors.palette[place % len(colors.palette)]
            known = row.low == row.high
            spread = place + 0.28 * (np.arange(len(row.low)) % 5 - 2) / 2.0
            axes.plot(row.low[known], spread[known], "o", color=color, alpha=0.55, markersize=3.5)
            right = ~known & np.isfinite(row.low)
            axes.plot(row.low[right], spread[right], ">", color=color, alpha=0.9, markersize=4.5)
            left = ~known & np.isfinite(row.high)
            axes.plot(row.high[left], spread[left], "<", color=color, alpha=0.9, markersize=4.5)
            if row.interval is not None and all(map(math.isfinite, row.interval)):
                axes.plot(row.interval, [place, place], color=colors.foreground, linewidth=1.6)
            if row.mean is not None:
                axes.plot([row.mean], [place], "|", color=colors.foreground, markersize=12)
        if log:
            _plain_numbers(axes.xaxis, *axes.get_xlim())
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(label)
        axes.grid(True, axis="x", linewidth=0.6)
    return result[0]


def curves(series: Sequence[ArmCurves], label: str, *, target: float | None = None) -> str:
    """Return the chart of a series over the steps as SVG: mean, and range of the middle half.

    Both are of the runs that are still going; where fewer than half are, the curve ends.
    """
    with _chart(3.4) as (axes, colors, result):
        positive = True
        for number, one in enumerate(series):
            color = colors.palette[number % len(colors.palette)]
            there = (~np.isnan(one.values)).mean(axis=1) >= 0.5
            steps, values = one.steps[there], one.values[there]
            if not len(steps):
                continue
            middle = np.nanmean(values, axis=1)
            below, above = np.nanquantile(values, (0.25, 0.75), axis=1)
            positive = positive and bool((below > 0.0).all())
            axes.plot(steps, middle, color=color, linewidth=1.4, label=one.name)
            axes.fill_between(steps, below, above, color=color, alpha=0.18, linewidth=0.0)
        if positive:
            axes.set_yscale("log")
            _plain_numbers(axes.yaxis, *axes.get_ylim())
        if target is not None:
            axes.axhline(target, color=colors.foreground, linewidth=0.8, linestyle="--")
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid(True, linewidth=0.6)
        axes.legend(loc="best")
    return result[0]


def _plain_numbers(axis: Axis, low: float, high: float) -> None:
    """Write the numbers of a logarithmic axis as 0.05 and 1.2, enough of them on a short one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    decades = math.log10(high / low)
    if decades < 1.0:
        axis.set_major_locator(MaxNLocator(6))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3.0 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def joined(
    runs: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps of several runs together, and their values ``[n, runs]``, NaN where none."""
    steps = np.unique(np.concatenate([its for its, _ in runs])) if runs else np.empty(0, np.int64)
    values = np.full((len(steps), len(runs)), math.nan)
    for column, (its_steps, its_values) in enumerate(runs):
        values[np.searchsorted(steps, its_steps), column] = its_values
    return steps, values


@contextmanager
def _chart(height: float) -> Iterator[tuple[Axes, PlotColors, list[str]]]:
    """Yield axes, colors and a list that has the SVG text when the context ends."""
    require()
    from matplotlib.figure import Figure

    result: list[str] = []
    with style(LIGHT):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure.add_subplot(), LIGHT, result
        buffer = io.StringIO()
        metadata: Mapping[str, None] = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", metadata=dict(metadata))
    text = buffer.getvalue()
    # Neither the declaration nor the document type belong into a page.
    result.append(text[text.index("<svg") :].strip())
