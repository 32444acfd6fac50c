"""What plots lay over the run that they follow: other runs, and bands over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from optlab.gui.plots.pyramid import Pyramid
from optlab.tasks.run_scales import RunScale


class SeriesKey(NamedTuple):
    """A series as a plot draws it.

    Attributes:
        name: of the series. factor: of its values (100 for percent). sparse: leave out steps at
            which it has no value.
    """

    name: str
    factor: float = 1.0
    sparse: bool = False


@dataclass(frozen=True)
class Overlay:
    """A run that plots show.

    Two are equal if the same objects hold their samples: what is read again is another object.

    Attributes:
        run: its id.
        name: in legends and readouts.
        color: index into the palette.
        own: whether it is the run that the plots follow: its values come as blocks, not from here.
        visible: whether its curves are drawn.
        samples: values of each series; averages: their moving averages, empty without smoothing.
        scale: converts its steps; None of the own run, which has it already.
        folded: whether a band stands for it.
    """

    run: str
    name: str
    color: int
    own: bool = False
    visible: bool = True
    samples: Mapping[SeriesKey, Pyramid] = field(default_factory=dict)
    averages: Mapping[SeriesKey, Pyramid] = field(default_factory=dict)
    scale: RunScale | None = None
    folded: bool = False


class BandSamples(NamedTuple):
    """Mean, lower and upper end of a band, and the moving average of the mean or None."""

    mean: Pyramid
    low: Pyramid
    high: Pyramid
    average: Pyramid | None = None


@dataclass(frozen=True)
class Band:
    """Runs that differ in nothing but their seeds, as a mean with a band around it.

    Attributes:
        key: of the group. name: in legends. color: index into the palette. runs: ids of its runs.
        samples: mean and ends of each series.
        scale: converts the steps, as that of its first run.
    """

    key: str
    name: str
    color: int
    runs: tuple[str, ...]
    samples: Mapping[SeriesKey, BandSamples] = field(default_factory=dict)
    scale: RunScale | None = None


Overlays = Sequence[Overlay]
