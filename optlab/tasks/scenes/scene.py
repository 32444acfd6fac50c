"""A scene: what is shown to an audience, and what sets it going."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optlab.core.fields import FieldSet, Texts, choice, names, number, text
from optlab.experiment import Experiment
from optlab.tasks.surfaces import Method

FORMAT = 1
"""Version of the file format; files of a newer version are rejected."""
MAX_TILES = 2
"""More tiles cannot be read from the last row."""

Scale = Literal["as usual", "linear", "log"]


class Show(FieldSet):
    """The section ``show``: how a scene is drawn."""

    tiles: Texts = names(
        (),
        "Tiles",
        help="One or two. Of a run: the names of plots (loss, error, gradient, weights, path, …). "
        "Of a race: contours, relief, heights, gradients. Of a demonstration: its plots are shown "
        "in their order.",
    )
    curves: Texts = names(
        (), "Curves", help="Series that are drawn of a run; without any, those that a plot shows."
    )
    pace: float = number(
        0.0,
        "Pace",
        unit="steps a second",
        ge=0.0,
        le=1e6,
        help="Steps that a run takes a second at most; 0 for as many as possible.",
    )
    seconds: float = number(
        8.0, "Duration", unit="seconds", gt=0.0, le=600.0, help="How long a race is played."
    )
    x: Scale = choice("as usual", "Step axis")
    y: Scale = choice("as usual", "Value axis")


class Predict(FieldSet):
    """The section ``predict``: what the audience draws before a run starts."""

    prompt: str = text("", "Prompt", help="What to ask the audience to draw.", longest=300)
    curve: str = text("train_loss", "Curve", help="Series of the first tile that is predicted.")
    to: float = number(
        0.0, "Last step", ge=0.0, help="Right end of the empty axes; 0 for the run's budget."
    )
    low: float = number(0.0, "Lowest value", help="Lower end of the empty axes.")
    high: float = number(1.0, "Highest value", help="Upper end of the empty axes.")


@dataclass(frozen=True)
class RunScene:
    """A run.

    Attributes:
        experiment: to train.
    """

    experiment: Experiment


@dataclass(frozen=True)
class RaceScene:
    """Methods on a surface.

    Attributes:
        surface: a ``[surface]`` section. methods: of the race. steps: of each method. noise: σ of
            each component of the gradient.
    """

    surface: Mapping[str, Any]
    methods: tuple[Method, ...]
    steps: int
    noise: float = 0.0


@dataclass(frozen=True)
class DemonstrationScene:
    """A demonstration.

    Attributes:
        name: of the demonstration. values: of its fields.
    """

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class PictureScene:
    """A picture.

    Attributes:
        picture: a PNG, JPEG or SVG file.
    """

    picture: Path


Content = RunScene | RaceScene | DemonstrationScene | PictureScene


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes:
        name: argument of ``optlab show``. title: above the tiles. text: below them, for the
            audience. say: what to say, for the presenter. figure: number of the figure in the notes
            that it plays, or "". content: what sets it going. show: how it is drawn.
        predict: what the audience draws first; None where it is not asked.
    """

    name: str
    title: str
    text: str
    say: str
    figure: str
    content: Content
    show: Show
    predict: Predict | None = None
