"""Tiles of the model: what they draw of a result, and in which colors and places."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.plots.colors import DARK, LIGHT, mixed
from optlab.gui.plots.examples_plot import ConfusionPlot, WrongExamplesPlot
from optlab.gui.plots.loss_plane_plot import LossPlanePlot
from optlab.gui.plots.model_tile import NO_MODEL, ModelTile
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.region_plot import RegionPlot, picture
from optlab.gui.plots.sketch_plot import SketchPlot
from optlab.gui.plots.spectrum_plot import SpectrumPlot, curve
from optlab.gui.plots.tiles import ShowsModel, ShowsStep, at_first, tile_plots
from optlab.tasks.model_point import ModelPoint, model_point
from optlab.training.events import WeightPath
from optlab.training.trainer import Trainer


def point_of(steps: int = 30, **sections: Any) -> ModelPoint:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "moons", "size": 60},
            "model": {"name": "mlp", "hidden": [5]},
            "optimizer": {"name": "adam", "lr": 0.05},
            **sections,
        }
    )
    trainer = Trainer([experiment])
    for _ in range(steps):
        trainer.advance()
    return model_point(experiment, trainer.theta[0].numpy(), steps)


def shown(qtbot: QtBot, tile: ModelTile, point: ModelPoint) -> None:
    qtbot.addWidget(tile)
    tile.resize(520, 360)
    with qtbot.waitSignal(tile.viewChanged):
        tile.show()
    tile.show_view(tile.view.compute(point), point.step, "")


def test_that_the_tiles_of_the_model_wait_to_be_asked_for():
    ours = (
        RegionPlot,
        WrongExamplesPlot,
        ConfusionPlot,
        SketchPlot,
        SpectrumPlot,
        LossPlanePlot,
    )
    assert set(ours) <= set(tile_plots())
    assert not any(at_first(plot) for plot in ours)
    assert any(at_first(plot) for plot in tile_plots())


def test_that_a_tile_says_what_it_waits_for(qtbot):
    tile = RegionPlot()
    qtbot.addWidget(tile)
    assert isinstance(tile, ShowsModel) and isinstance(tile, ShowsStep)
    assert tile.message.text() == NO_MODEL
    tile.set_step("r1", 40)
    tile.show_wait("Step 40 is computed again.")
    assert not tile.waiting.isHidden()
    with qtbot.waitSignal(tile.cancelRequested):
        tile.cancel_button.click()
    tile.show_problem("A decision region needs data with two inputs.")
    assert tile.waiting.isHidden() and "two inputs" in tile.message.text()
    tile.show_view(tile.view.compute(point_of(steps=1)), 40, "Not exact.")
    assert tile.caption.text().startswith("step 40 · ") and tile.note.text() == "Not exact."
    tile.set_step("r2", None)
    assert tile.result is None, "the result of another run is gone"


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_that_a_region_has_the_color_of_the_predicted_class_where_it_is_certain(qtbot, colors):
    tile = RegionPlot()
    tile.set_colors(colors)
    point = point_of(steps=150)
    shown(qtbot, tile, point)
    region = tile.result
    drawn = picture(region, colors)
    sure = region.probabilities.max(axis=2) > 0.999
    assert sure.any() and len(np.unique(region.predicted[sure])) == 2
    for label in (0, 1):
        expected = QColor(mixed(colors.curve(label), colors.background, 0.45))
        rgb = np.array([expected.red(), expected.green(), expected.blue()])
        where = sure & (region.predicted == label)
        assert np.abs(drawn[where].astype(int) - rgb).max() <= 2
    # The picture lies where the coordinates say, and so do the examples.
    image = tile.canvas.image
    box = image.mapRectToParent(image.boundingRect())
    step = (region.first[-1] - region.first[0]) / (len(region.first) - 1)
    assert box.left() == pytest.approx(region.first[0] - step / 2)
    assert box.bottom() == pytest.approx(region.second[-1], abs=step)
    x, _ = tile.canvas.points.getData()
    assert len(x) == sum(len(part.x) for part in region.points)


def test_that_a_region_is_computed_again_where_the_user_zooms_and_stays_until_it_is_there(qtbot):
    tile = RegionPlot()
    point = point_of(steps=40)
    shown(qtbot, tile, point)
    canvas, whole = tile.canvas, tile.result
    view = canvas.canvas.view
    assert tile.view.area is None
    view.setRange(xRange=(0.0, 0.5), yRange=(-0.25, 0.25), padding=0.0)
    with qtbot.waitSignal(tile.viewChanged):
        view.sigRangeChangedManually.emit(view.state["mouseEnabled"])
    (left, right), (bottom, top) = view.viewRange()
    assert tile.view.area == (left, right, bottom, top)
    assert right - left < 0.6 and tile.view.points > len(whole.first)
    assert tile.result is whole and canvas.image.image.shape == (81, 81, 3)
    refined = tile.view.compute(point)
    tile.show_view(refined, point.step, "")
    assert view.viewRange() == [[left, right], [bottom, top]]
    box = canvas.image.mapRectToParent(canvas.image.boundingRect())
    half = (right - left) / 160 / 2
    assert box.left() == pytest.approx(left - half) and box.right() == pytest.approx(right + half)
    # The whole plane again: at once in the old picture, and then in its own.
    with qtbot.waitSignal(tile.viewChanged):
        canvas.follow()
    assert tile.view.area is None
    assert view.viewRange()[0] == pytest.approx([whole.first[0], whole.first[-1]])
    tile.show_view(tile.view.compute(point), point.step, "")
    assert canvas.image.image.shape == (81, 81, 3)


def test_that_the_boundary_lies_between_the_classes_and_margin_lines_where_the_lead_is_one(qtbot):
    tile = RegionPlot()
    shown(qtbot, tile, point_of(steps=80))
    region, canvas = tile.result, tile.canvas
    from optlab.gui.plots.relief import Relief

    lead = Relief(region.first, region.second, region.margins[1].astype(float))
    for item, values in ((canvas.boundary, {0.0}), (canvas.margin_lines, {-1.0, 1.0})):
        x, y = item.getData()
        heights = lead.heights_at(np.stack([x, y], axis=1))
        heights = heights[np.isfinite(heights)]
        assert len(heights) > 10
        nearest = np.abs(heights[:, None] - np.array(sorted(values))).min(axis=1)
        assert nearest.max() < 0.1
        assert {min(values, key=lambda v: abs(v - h)) for h in heights} == values


def test_that_wrong_pictures_are_listed_by_loss_with_true_and_predicted_class(qtbot):
    tile = WrongExamplesPlot()
    point = point_of(steps=20, dataset={"name": "digits"}, model={"name": "linear"})
    shown(qtbot, tile, point)
    found = tile.result
    assert tile.body.currentWidget() is tile.pictures
    assert tile.pictures.count() == min(24, found.wrong) > 3
    first = tile.pictures.item(0)
    true, predicted = found.classes[found.targets[0]], found.classes[found.predicted[0]]
    assert true != predicted and first.text().startswith(f"{true} → {predicted}\n")
    assert f"true {true}, predicted {predicted}" in first.toolTip()
    size = first.icon().availableSizes()[0]
    drawn = first.icon().pixmap(size).toImage()
    at = np.unravel_index(found.inputs[0].argmax(), (8, 8))
    unit = size.width() / 8
    dark = QColor(drawn.pixel(int((at[1] + 0.5) * unit), int((at[0] + 0.5) * unit)))
    assert dark.lightness() < 60, "the largest value is dark, at its row and column"
    with qtbot.waitSignal(tile.viewChanged):
        tile.part.setCurrentText("Training")
    assert tile.view.part == "training"


def test_that_a_model_without_mistakes_is_said_to_have_none(qtbot):
    tile = WrongExamplesPlot()
    shown(qtbot, tile, point_of(steps=250, dataset={"name": "moons", "size": 40, "noise": 0.01}))
    assert tile.result.wrong == 0 and tile.result.inputs.shape == (0, 2)
    assert tile.message.text() == "No example of the validation part is wrong."
    assert tile.message.isVisible() and "0 of 8 wrong" in tile.caption.text()


def test_that_examples_without_a_picture_are_rows_of_values(qtbot):
    tile = WrongExamplesPlot()
    shown(qtbot, tile, point_of(steps=2, dataset={"name": "iris"}, model={"name": "linear"}))
    found, table = tile.result, tile.table
    assert tile.body.currentWidget() is table and table.rowCount() == len(found.indices) > 0
    headings = [table.horizontalHeaderItem(k).text() for k in range(table.columnCount())]
    assert headings[:4] == ["Example", "Loss", "True", "Predicted"] and len(headings) == 8
    assert table.item(0, 2).text() == found.classes[found.targets[0]]
    assert table.item(0, 3).text() == found.classes[found.predicted[0]]
    assert float(table.item(0, 5).text()) == pytest.approx(found.inputs[0, 1], abs=1e-3)


def test_that_the_matrix_has_true_classes_in_rows(qtbot):
    tile = ConfusionPlot()
    shown(qtbot, tile, point_of(steps=4, dataset={"name": "wine"}, model={"name": "linear"}))
    found, matrix = tile.result, tile.matrix
    assert not np.array_equal(found.confusion, found.confusion.T)
    for row in range(3):
        for column in range(3):
            at = matrix.cell(row, column).center()
            assert matrix.text_at(at.x(), at.y()) == (
                f"{found.confusion[row, column]:,} examples of {found.classes[row]} predicted to "
                f"be {found.classes[column]}"
            )
    # Predicted classes go across, and the fuller cell of two has the stronger color.
    assert matrix.cell(0, 2).left() > matrix.cell(0, 1).right() - 1 > matrix.cell(0, 0).left()
    assert matrix.cell(0, 0).top() == matrix.cell(0, 2).top() < matrix.cell(1, 0).top()
    row, column = np.argwhere(np.triu(found.confusion - found.confusion.T, 1))[0]
    image = matrix.grab().toImage()

    def tone(row: int, column: int) -> int:
        at = matrix.cell(row, column).topLeft().toPoint()
        return QColor(image.pixel(at.x() + 3, at.y() + 3)).blue()

    fuller = found.confusion[row, column] > found.confusion[column, row]
    shares = found.confusion / found.confusion.sum(axis=1, keepdims=True)
    assert (tone(row, column) < tone(column, row)) == (shares[row, column] > shares[column, row])
    assert fuller or found.confusion[column, row] > 0
    assert "% of" in tile.caption.text()
    tile.show_view(
        tile.view.compute(
            point_of(
                steps=0,
                dataset={"name": "diabetes"},
                model={"name": "linear"},
                loss={"name": "squared_error"},
            )
        ),
        0,
        "",
    )
    assert "needs classes" in tile.message.text()


def test_that_lines_of_the_network_are_blue_for_positive_weights(qtbot):
    tile = SketchPlot()
    point = point_of(model={"name": "linear"})
    shown(qtbot, tile, point)
    layer = tile.result.layers[1]
    flat = np.abs(layer.weights).argmax()
    row, column = np.unravel_index(flat, layer.weights.shape)
    widget = tile.sketch
    start, end = widget.places(0)[column], widget.places(1)[row]
    at = start + (end - start) * 0.3
    image = widget.grab().toImage()
    ratio = image.width() / widget.width()
    pixel = QColor(image.pixel(int(at.x() * ratio), int(at.y() * ratio)))
    blue = layer.weights[row, column] > 0
    assert (pixel.blue() > pixel.red() + 40) == blue and abs(pixel.blue() - pixel.red()) > 40
    weights = ", ".join(f"{one:.3g}" for one in layer.weights[1])
    assert widget.text_at(widget.places(1)[1]) == (
        f"layers.0, unit 1 ({layer.labels[1]}): {layer.activations[1]:.4g}; weights from "
        f"the units drawn: {weights}"
    )
    assert widget.text_at(widget.rect().topLeft().toPointF()) == ""
    tile.example.setValue(3)
    assert tile.view.example == 3
    assert "6 parameters" in tile.caption.text()


def test_that_a_network_that_has_overflown_is_drawn(qtbot):
    point = point_of(steps=0)
    broken = dataclasses.replace(point, theta=point.theta * 1e307)
    tile = SketchPlot()
    shown(qtbot, tile, broken)
    assert not np.isfinite(tile.result.layers[-1].activations).all()
    assert not tile.sketch.grab().isNull()


def test_that_the_path_marks_the_point_nearest_to_the_step_that_is_looked_at(qtbot):
    plot = PathPlot()
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    plot.show()
    steps = np.array([0, 10, 20, 30])
    plane = np.array([[0.0, 0.0], [1.0, 2.0], [np.nan, np.nan], [4.0, 1.0]])
    plot.show_path(
        WeightPath(0, steps, plane, np.array([0.7, 0.2]), np.zeros(4), (), np.zeros((4, 0)))
    )
    assert isinstance(plot, ShowsStep)
    plot.set_step("", 18)
    plot.refresh()
    assert [(x[0], y[0]) for x, y in [plot.step_mark.getData()]] == [(1.0, 2.0)]
    plot.set_step("", None)
    plot.refresh()
    assert len(plot.step_mark.getData()[0]) == 0


def test_that_the_curvature_at_a_step_is_drawn_as_it_was_computed(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = point_of()
    spectrum, plane = SpectrumPlot(), LossPlanePlot()
    reliefs, show = [], plane.contours.set_relief
    monkeypatch.setattr(
        plane.contours, "set_relief", lambda relief: (reliefs.append(relief), show(relief))
    )
    for tile in (spectrum, plane):
        shown(qtbot, tile, point)
        assert tile.caption.text().startswith("step 30 · ")
    found = spectrum.result
    assert f"λ₁ {found.top[0]:.4g}" in spectrum.caption.text()
    drawn = curve(found)
    largest, smallest = drawn.scatters
    assert largest.x is found.top and smallest.x is found.bottom
    (density,) = drawn.curves
    high = found.density > 1e-3 * found.density.max()
    np.testing.assert_array_equal(density.y[high], found.density[high])
    assert np.nanmin(density.y) > 0.0, "the axis is logarithmic"
    middle = plane.result.loss[10, 10]
    assert f"loss {middle:.4g} · " in plane.caption.text()
    height = reliefs[-1].heights_at(np.array([[0.0, 0.0], [1.0, -1.0]]))
    np.testing.assert_allclose(height, [middle, plane.result.loss[20, 0]])
