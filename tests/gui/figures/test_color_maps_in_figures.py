"""Color maps in figures: pictures at the resolution that is asked for, in the right place."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.figures.figure import FigureSize, has_picture, write_figure
from optlab.gui.figures.figure_dialog import FigureDialog
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.raster_item import RasterItem
from optlab.gui.plots.region_plot import RegionCanvas
from optlab.tasks.decision_region import DecisionRegion

CELLS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5 + 7
"""Sixteen colors."""


class Map(RegionCanvas):
    """Sixteen cells at 0 to 4 in both directions."""

    def __init__(self, *, smooth: bool) -> None:
        super().__init__()
        self.image.smooth = smooth

    def _draw(self) -> None:
        self._show_message("")
        self.image.setImage(CELLS, levels=None)
        self.image.setRect(QRectF(0, 0, 4, 4))
        if self.following:
            self.canvas.view.setRange(xRange=(0, 4), yRange=(0, 4), padding=0.0)


@pytest.fixture
def crisp(qtbot: QtBot) -> Map:
    plot = Map(smooth=False)
    qtbot.addWidget(plot)
    plot.resize(300, 240)
    plot.show()
    plot.refresh()
    return plot


def picture_in(svg: Path) -> QImage:
    """Return the picture that a file of SVG has in it."""
    (element,) = ET.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}image")
    data = element.get("{http://www.w3.org/1999/xlink}href", "").partition("base64,")[2]
    return QImage.fromData(base64.b64decode(data))


def pixels(image: QImage) -> np.ndarray:
    """Return the colors ``[height, width, 3]`` of a picture."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return data[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def codes(colors: np.ndarray) -> np.ndarray:
    """Return a number ``[…]`` for each color ``[…, 3]``."""
    return colors.astype(int) @ (65536, 256, 1)


def colors_of(image: QImage) -> set[int]:
    return set(np.unique(codes(pixels(image))).tolist())


@pytest.mark.parametrize("dpi", [150, 450])
def test_that_a_color_map_has_the_resolution_that_is_asked_for(
    crisp: Map, tmp_path: Path, dpi: int
) -> None:
    write_figure(crisp, tmp_path / "map.svg", FigureSize(80.0, 60.0, dpi))
    picture = picture_in(tmp_path / "map.svg")
    # The axes take a part of the page of 80 by 60 mm.
    assert 0.6 < picture.width() / (80.0 / 25.4 * dpi) < 0.95
    assert 0.6 < picture.height() / (60.0 / 25.4 * dpi) < 0.95
    assert colors_of(picture) == set(codes(CELLS).reshape(-1).tolist())


def test_that_samples_of_something_continuous_have_colors_between_them(
    qtbot: QtBot, tmp_path: Path
) -> None:
    plot = Map(smooth=True)
    qtbot.addWidget(plot)
    write_figure(plot, tmp_path / "map.svg", FigureSize(80.0, 60.0))
    assert len(colors_of(picture_in(tmp_path / "map.svg"))) > 150


def test_that_a_pdf_has_a_color_map_without_loss(crisp: Map, tmp_path: Path) -> None:
    write_figure(crisp, tmp_path / "map.pdf", FigureSize(80.0, 60.0, 300))
    pdf = (tmp_path / "map.pdf").read_bytes()
    (entry,) = re.findall(rb"/Subtype /Image\s(.*?)>>", pdf, re.S)
    assert b"DCTDecode" not in entry
    width = re.search(rb"/Width (\d+)", entry)
    assert width is not None and 600 < int(width[1]) < 900


def test_that_cells_are_where_the_screen_has_them(crisp: Map, tmp_path: Path) -> None:
    write_figure(crisp, tmp_path / "map.png", FigureSize(80.0, 60.0, 200))
    for image in (pixels(QImage(str(tmp_path / "map.png"))), pixels(crisp.grab().toImage())):
        colored = np.isin(codes(image), codes(CELLS))
        # Pixels of texts may have such a color, too, but not half of a line.
        lines = [np.flatnonzero(colored.mean(axis=axis) > 0.5) for axis in (1, 0)]
        low, size = np.array([[line[0], len(line)] for line in lines]).T
        for row in range(4):
            for column in range(4):
                middle = low + size * np.array([row + 0.5, column + 0.5]) / 4
                # The second input goes up.
                assert tuple(image[tuple(middle.astype(int))]) == tuple(CELLS[3 - row, column])


def test_that_only_what_is_seen_of_a_color_map_is_in_the_file(crisp: Map, tmp_path: Path) -> None:
    crisp.following = False
    crisp.canvas.view.setRange(xRange=(0.999, 1.001), yRange=(1.0, 1.001), padding=0.0)
    write_figure(crisp, tmp_path / "map.svg", FigureSize(80.0, 60.0, 150))
    picture = picture_in(tmp_path / "map.svg")
    assert 0.6 < picture.width() / (80.0 / 25.4 * 150) < 0.95
    image = pixels(picture)
    left, right = (tuple(image[40, round(share * picture.width())]) for share in (0.45, 0.55))
    assert (left, right) == (tuple(CELLS[1, 0]), tuple(CELLS[1, 1])), "the edge is in the middle"


def test_that_the_dialog_says_that_a_color_map_is_a_picture(crisp: Map, qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    lines = LossPlot()
    qtbot.addWidget(lines)
    assert has_picture(crisp) and not has_picture(lines)
    dialog = FigureDialog(crisp, "Decision region", parent)
    assert dialog.format.currentData() == "pdf"
    assert dialog.dpi.isEnabled() and "picture of this resolution" in dialog.note.text()
    assert not dialog.note.isHidden()
    dialog.format.setCurrentIndex(dialog.format.findData("png"))
    assert dialog.dpi.isEnabled() and dialog.note.isHidden()
    plain = FigureDialog(lines, "Loss", parent)
    assert not plain.dpi.isEnabled() and plain.note.isHidden()


def test_that_classes_without_probabilities_have_no_colors_between_them(qtbot: QtBot) -> None:
    plot = RegionCanvas()
    qtbot.addWidget(plot)
    axis = np.linspace(0.0, 1.0, 3)
    margins = np.stack([np.eye(3), -np.eye(3)]).astype(np.float32)
    region = DecisionRegion(1, ("a", "b"), axis, axis, ("x", "y"), None, margins, None, ())
    assert isinstance(plot.image, RasterItem)
    plot._draw_points = lambda _region: None  # type: ignore[method-assign]  # there are none
    plot.region = region
    plot.redraw()
    assert not plot.image.smooth
