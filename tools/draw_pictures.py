"""The gallery's pictures, drawn from live runs of the presets: ``make pictures``.

On the right the losses, logarithmic: of the batches pale, on the training set strong, on the
validation set in a second color. On the left what the run comes to: for two inputs and classes the
regions of the classes with the training examples, for any other the path through parameter space in
the plane of its first two principal components.

    QT_QPA_PLATFORM=offscreen python tools/draw_pictures.py [PRESET]...
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPainterPath, QPen

from optlab.experiment import Experiment, presets
from optlab.gui.plots.colors import DARK, LIGHT, PlotColors, mixed
from optlab.objective.objective import Objective
from optlab.training.control import Inbox
from optlab.training.events import SeriesBlock, SnapshotTaken, WeightPath
from optlab.training.session import session

WIDTH, HEIGHT, SCALE = 256, 144, 2
LEFT = QRectF(10, 10, 96, 124)
RIGHT = QRectF(118, 10, 128, 124)
COLUMNS = 240
Floats = NDArray[np.float64]


@dataclass
class Story:
    """What a run reported: series name → (steps, values), its path, its last parameters."""

    experiment: Experiment
    series: dict[str, tuple[list[Floats], list[Floats]]] = field(default_factory=dict)
    walk: WeightPath | None = None
    theta: Floats = field(default_factory=lambda: np.zeros(0))

    def curve(self, name: str) -> tuple[Floats, Floats]:
        steps, values = self.series.get(name, ([], []))
        if not steps:
            return np.zeros(0), np.zeros(0)
        x, y = np.concatenate(steps), np.concatenate(values)
        good = np.isfinite(y) & (y > 0)
        return x[good], y[good]


def tell(experiment: Experiment) -> Story:
    """Run an experiment to its end and keep what it reported."""
    story = Story(experiment)
    for event in session([experiment], Inbox()):
        match event:
            case SeriesBlock():
                for name, series in event.series.items():
                    if series.values.ndim == 2:
                        steps, values = story.series.setdefault(name, ([], []))
                        steps.append(series.steps.astype(float))
                        values.append(series.values[:, 0].astype(float))
            case WeightPath():
                story.walk = event
            case SnapshotTaken():
                story.theta = event.snapshot.theta
            case _:
                pass
    return story


def draw(story: Story, colors: PlotColors) -> QImage:
    """The picture of a run."""
    image = QImage(WIDTH * SCALE, HEIGHT * SCALE, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(SCALE)
    image.fill(QColor(colors.background))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    shape = story.experiment.dataset.shape()
    if shape.inputs == (2,) and shape.task == "classes":
        draw_regions(painter, story, colors)
    else:
        draw_walk(painter, story, colors)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    draw_losses(painter, story, colors)
    painter.setPen(QPen(QColor(colors.grid), 1))
    painter.drawLine(QLineF(112, 10, 112, HEIGHT - 10))
    painter.drawRect(QRectF(0.5, 0.5, WIDTH - 1, HEIGHT - 1))
    painter.end()
    return image


def draw_losses(painter: QPainter, story: Story, colors: PlotColors) -> None:
    """The losses over the steps, with the extremes of each column of pixels."""
    names = ("batch_loss", "train_loss", "validation_loss")
    curves = {name: story.curve(name) for name in names}
    curves = {name: curve for name, curve in curves.items() if len(curve[0]) > 1}
    if not curves:
        return
    x, y = (np.concatenate([curve[axis] for curve in curves.values()]) for axis in (0, 1))
    low, high = np.log(np.percentile(y, 1)), np.log(np.percentile(y, 99.5))
    # A curve that hardly moves must look like it.
    middle, half = (low + high) / 2, max((high - low) / 2, np.log(2.0) / 2) * 1.05
    inks = {
        "batch_loss": mixed(colors.curve(0), colors.background, 0.6),
        "train_loss": colors.curve(0),
        "validation_loss": colors.curve(1),
    }
    painter.save()
    painter.setClipRect(RIGHT)
    for name, curve in curves.items():
        steps, values = curve
        if len(steps) > COLUMNS:
            bins = (steps / x.max() * (COLUMNS - 1)).astype(int)
            starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
            ends = np.r_[starts[1:], len(steps)]
            pairs = [
                (steps[a], values[a:b].min(), values[a:b].max())
                for a, b in zip(starts, ends, strict=True)
            ]
            steps = np.repeat([pair[0] for pair in pairs], 2)
            values = np.array([value for pair in pairs for value in pair[1:]])
        across = RIGHT.left() + steps / x.max() * RIGHT.width()
        down = RIGHT.bottom() - (np.log(values) - middle + half) / (2 * half) * RIGHT.height()
        painter.setPen(QPen(QColor(inks[name]), 1.0 if name == "batch_loss" else 2.0))
        painter.drawPath(line(across, down))
    painter.restore()


def draw_walk(painter: QPainter, story: Story, colors: PlotColors) -> None:
    """The path, from a green point at the start to an orange one at the end."""
    walk = story.walk
    if walk is None or len(walk.plane) < 2:
        return
    plane = walk.plane[np.isfinite(walk.plane).all(axis=1)]
    low, high = plane.min(axis=0), plane.max(axis=0)
    scale = min(LEFT.width(), LEFT.height()) / max(float((high - low).max()), 1e-12) * 0.9
    across = LEFT.center().x() + (plane[:, 0] - (low + high)[0] / 2) * scale
    down = LEFT.center().y() - (plane[:, 1] - (low + high)[1] / 2) * scale
    pen = QPen(QColor(colors.curve(0)), 2.0)
    for index in range(len(plane) - 1):
        # From pale at the start to strong at the end.
        pen.setColor(
            QColor(mixed(colors.curve(0), colors.background, 0.65 * (1 - index / len(plane))))
        )
        painter.setPen(pen)
        painter.drawLine(
            QPointF(across[index], down[index]), QPointF(across[index + 1], down[index + 1])
        )
    painter.setPen(Qt.PenStyle.NoPen)
    for place, ink in ((0, colors.curve(2)), (-1, colors.curve(1))):
        painter.setBrush(QColor(ink))
        painter.drawEllipse(QPointF(across[place], down[place]), 4.0, 4.0)


def draw_regions(painter: QPainter, story: Story, colors: PlotColors) -> None:
    """What the model says at each point of the plane, and the training examples."""
    data = story.experiment.dataset.load()
    x, y = data.training.x, data.training.y
    middle, half = (
        (x.max(axis=0) + x.min(axis=0)) / 2,
        float((x.max(axis=0) - x.min(axis=0)).max()) / 2 * 1.08,
    )
    side = LEFT.width()
    box = QRectF(LEFT.left(), LEFT.center().y() - side / 2, side, side)
    count = int(side * SCALE)
    ticks = np.linspace(-half, half, count)
    points = np.stack(np.meshgrid(middle[0] + ticks, middle[1] - ticks), axis=-1).reshape(-1, 2)
    objective = Objective(story.experiment.model, story.experiment.loss, data.shape)
    theta = torch.from_numpy(story.theta).double().unsqueeze(0)
    with torch.no_grad():
        classes = (
            objective.outputs(theta, torch.from_numpy(points).unsqueeze(0))[0]
            .argmax(dim=-1)
            .numpy()
        )
    ground = np.array(
        [
            QColor(mixed(colors.curve(c), colors.background, 0.72)).rgb()
            for c in range(data.shape.outputs)
        ],
        dtype=np.uint32,
    )
    pixels = np.ascontiguousarray(ground[classes].reshape(count, count))
    painter.drawImage(
        box, QImage(pixels.data, count, count, 4 * count, QImage.Format.Format_RGB32).copy()
    )
    painter.setPen(Qt.PenStyle.NoPen)
    for point, label in zip(x[:400], y[:400], strict=True):
        at = box.center() + QPointF(point[0] - middle[0], middle[1] - point[1]) * (side / 2 / half)
        painter.setBrush(QColor(colors.curve(int(label))))
        painter.drawEllipse(at, 1.3, 1.3)


def line(x: Floats, y: Floats) -> QPainterPath:
    """Points joined by straight lines."""
    path = QPainterPath(QPointF(x[0], y[0]))
    for across, down in zip(x[1:], y[1:], strict=True):
        path.lineTo(across, down)
    return path


def main(names: list[str]) -> None:
    """Draw the pictures of the presets that are named, or of all."""
    application = QGuiApplication.instance() or QGuiApplication([])
    assert application is not None
    for preset in presets.presets():
        if names and preset.name not in names:
            continue
        story = tell(Experiment.load(preset.path))
        for theme, colors in (("light", LIGHT), ("dark", DARK)):
            file = preset.picture(theme)
            file.parent.mkdir(exist_ok=True)
            if not draw(story, colors).save(str(file), quality=0):
                raise OSError(f"{file} cannot be written")
        print(preset.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
