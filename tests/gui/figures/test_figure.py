"""Figures: their files are read as other programs read them, and compared with what was asked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QFileDialog, QLabel, QWidget
from pytestqt.qtbot import QtBot

from optlab.core.errors import InvalidInput, StoreError
from optlab.gui.figures.figure import SIZES, FigureSize, drawn_part, write_figure
from optlab.gui.figures.figure_dialog import FigureDialog
from optlab.gui.figures.tile_menu import command_for
from optlab.gui.plots.colors import DARK
from optlab.gui.plots.loss_plot import LossPlot
from optlab.training.events import Series, SeriesBlock

SVG = "{http://www.w3.org/2000/svg}"
STEPS = 20_000


@pytest.fixture
def plot(qtbot: QtBot) -> LossPlot:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    plot.set_colors(DARK)
    steps, evaluated = np.arange(1, STEPS + 1), np.arange(0, STEPS, 500)
    noise = np.random.default_rng(0).random(STEPS)
    plot.add(
        SeriesBlock(
            STEPS,
            1.0,
            {
                "batch_loss": Series(steps, (np.exp(-steps / 4000) + 0.1 * noise)[:, None]),
                "train_loss": Series(evaluated, np.exp(-evaluated / 4000)[:, None]),
            },
        )
    )
    plot.show()
    plot.refresh()
    return plot


def streams(pdf: bytes) -> bytes:
    """Return the content of the compressed streams of a PDF file."""
    texts = []
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S):
        try:
            texts.append(zlib.decompress(found[1]))
        except zlib.error:
            continue
    return b"\n".join(texts)


def test_that_a_pdf_has_the_size_lines_and_fonts_and_no_picture(
    plot: LossPlot, tmp_path: Path
) -> None:
    path = tmp_path / "loss.pdf"
    write_figure(plot, path, FigureSize(85.0, 60.0))
    pdf = path.read_bytes()
    assert pdf.startswith(b"%PDF-") and b"/FontFile2" in pdf and b"/Type /Font" in pdf
    assert not re.search(rb"/Subtype\s*/Image", pdf)
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert box is not None
    # Qt rounds the page to whole points.
    assert float(box[1]) == pytest.approx(85.0 / 25.4 * 72.0, abs=0.5)
    assert float(box[2]) == pytest.approx(60.0 / 25.4 * 72.0, abs=0.5)
    drawn = streams(pdf)
    assert len(re.findall(rb" l\b", drawn)) > 4000, "more than the points that the screen shows"
    assert b"Tj" in drawn, "text is text"


def test_that_an_svg_has_the_size_exactly_and_text_as_outlines(
    plot: LossPlot, tmp_path: Path
) -> None:
    path = tmp_path / "loss.svg"
    write_figure(plot, path, SIZES["Two columns, 175 mm"])
    root = ET.fromstring(path.read_bytes())
    assert (root.get("width"), root.get("height")) == ("175mm", "90mm")
    assert not list(root.iter(f"{SVG}image")) and not list(root.iter(f"{SVG}text"))
    named = {part.get("aria-label") for part in root.iter(f"{SVG}path")}
    assert {"Batch", "Training", "Steps", "Loss", "10k"} <= named
    assert "Penalty" not in named, "an entry of the legend that is switched off"
    outlines = [part.get("d") for part in root.iter(f"{SVG}path") if part.get("aria-label")]
    assert all(outline and outline.startswith("M") for outline in outlines)
    points = max(len(line.get("points", "").split()) for line in root.iter(f"{SVG}polyline"))
    paths = max(len(re.findall("[ML]", part.get("d", ""))) for part in root.iter(f"{SVG}path"))
    assert max(points, paths) > 4000
    left, top, width, height = map(float, root.get("viewBox", "").split())
    assert (left, top) == (0.0, 0.0) and width / height == pytest.approx(175 / 90, rel=1e-4)


@pytest.mark.parametrize("dpi", [96, 300])
def test_that_a_png_has_its_pixels_and_light_colors_on_white(
    plot: LossPlot, tmp_path: Path, dpi: int
) -> None:
    path = tmp_path / "loss.png"
    write_figure(plot, path, FigureSize(85.0, 60.0, dpi))
    image = QImage(str(path))
    assert (image.width(), image.height()) == (round(85 / 25.4 * dpi), round(60 / 25.4 * dpi))
    assert image.dotsPerMeterX() * 0.0254 == pytest.approx(dpi, abs=0.5)
    assert image.pixelColor(image.width() - 2, 2) == QColor("white")
    # What is drawn covers the same share of the paper at every resolution.
    small = image.scaled(321, 227)
    dark = [
        small.pixelColor(x, y).lightness() < 200 for x in range(0, 321, 3) for y in range(0, 227, 3)
    ]
    assert 0.1 < sum(dark) / len(dark) < 0.35


def test_that_the_tile_is_as_it_was_afterwards(plot: LossPlot, tmp_path: Path) -> None:
    before, geometry = plot.grab().toImage(), plot.geometry()
    for kind in ("pdf", "svg", "png"):
        write_figure(plot, tmp_path / f"loss.{kind}", SIZES["Slide, 16 : 9"])
    plot.refresh()
    assert plot.geometry() == geometry and plot.colors == DARK
    assert plot.grab().toImage() == before


def test_that_a_plot_that_is_not_visible_is_drawn_all_the_same(
    plot: LossPlot, tmp_path: Path
) -> None:
    write_figure(plot, tmp_path / "seen.svg", FigureSize(85.0, 60.0))
    plot.hide()
    write_figure(plot, tmp_path / "hidden.svg", FigureSize(85.0, 60.0))
    assert (tmp_path / "hidden.svg").read_bytes() == (tmp_path / "seen.svg").read_bytes()


def test_that_what_cannot_be_written_is_said(plot: LossPlot, tmp_path: Path) -> None:
    for size, word in (
        (FigureSize(5.0, 60.0), "width"),
        (FigureSize(85.0, 1e4), "height"),
        (FigureSize(85.0, 60.0, 7), "resolution"),
    ):
        with pytest.raises(InvalidInput, match=word):
            write_figure(plot, tmp_path / "loss.pdf", size)
    with pytest.raises(InvalidInput, match="ends in"):
        write_figure(plot, tmp_path / "loss.tiff", FigureSize(85.0, 60.0))
    with pytest.raises(StoreError, match="cannot be written"):
        write_figure(plot, tmp_path / "missing" / "loss.pdf", FigureSize(85.0, 60.0))
    assert list(tmp_path.iterdir()) == []


def test_that_any_widget_of_a_tile_can_be_a_figure(qtbot: QtBot, tmp_path: Path) -> None:
    label = QLabel("A table, or a network")
    qtbot.addWidget(label)
    assert drawn_part(label) is label
    write_figure(label, tmp_path / "label.svg", FigureSize(50.0, 20.0))
    root = ET.fromstring((tmp_path / "label.svg").read_bytes())
    assert root.get("width") == "50mm"
    assert "A table, or a network" in {part.get("aria-label") for part in root.iter(f"{SVG}path")}


def test_that_the_dialog_saves_at_the_size_that_it_shows(
    plot: LossPlot, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = FigureDialog(plot, "Loss", parent)
    dialog.preset.setCurrentText("Two columns, 175 mm")
    dialog.unit.setCurrentText("inches")
    assert dialog.width_box.value() == pytest.approx(175 / 25.4, abs=0.001)
    assert dialog.size_in_mm().width == 175.0
    dialog.height_box.setValue(2.0)
    assert dialog.preset.currentText() == "Other"
    dialog.format.setCurrentIndex(dialog.format.findData("svg"))
    chosen = tmp_path / "chosen"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(chosen), ""))
    with qtbot.waitSignal(dialog.saved) as saved:
        dialog._choose()
    assert saved.args == [f"{chosen}.svg"]
    root = ET.parse(f"{chosen}.svg").getroot()
    assert (root.get("width"), root.get("height")) == ("175mm", "50.8mm")
    again = FigureDialog(plot, "Loss", parent)
    assert again.size_in_mm().height == pytest.approx(50.8), "the size that was used last"
    assert not again.save(tmp_path / "missing" / "loss.pdf")
    assert "cannot be written" in again.problem.text()


def test_the_command_for_the_values() -> None:
    assert command_for([]) == ""
    assert command_for(["a1", "b 2"]) == "optlab export a1 'b 2' --format csv --to a1.csv"
    assert command_for(["a1"], {"train_loss", "batch_loss"}) == (
        "optlab export a1 --series batch_loss --series train_loss --format csv --to a1.csv"
    )
