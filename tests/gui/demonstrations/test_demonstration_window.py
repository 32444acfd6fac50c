"""The demonstrations window: choose, set, run, stop, export."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from optlab.gui import theme
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow, table_text
from optlab.gui.item_models.result_table_model import shown
from optlab.gui.plots.result_plot import ResultPlot
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import Axis, Column, Curve, Image, Plot, Scatter, Table


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[DemonstrationWindow]:
    prewarmer = WorkerPrewarmer()
    window = DemonstrationWindow(prewarmer)
    qtbot.addWidget(window)
    window.show()
    yield window
    window.tasks.shut_down()
    prewarmer.end()


def ended(qtbot: QtBot, window: DemonstrationWindow) -> None:
    qtbot.waitUntil(
        lambda: not window.tasks.active and not window.stop_button.isEnabled(), timeout=60_000
    )


def test_that_every_demonstration_is_listed_with_its_page_and_form(
    window: DemonstrationWindow,
) -> None:
    assert window.list.count() == len(demonstrations.names())
    for name in demonstrations.names():
        window.choose(name)
        assert window.chosen() == name
        assert window.form is not None and set(window.form.editors) == {
            field.name for field in demonstrations.get(name).fields()
        }
        assert window.sentence.text() and window.source.text()


def test_that_a_run_fills_plots_table_and_sentence(
    qtbot: QtBot, window: DemonstrationWindow, tmp_path: Path
) -> None:
    window.choose("random_matrix_index")
    window.run()
    ended(qtbot, window)
    assert window.tabs.count() == len(window.plots) >= 1
    assert window.tabs.tabText(0) == "Index against height"
    assert window.model.rowCount() > 10 and "semicircle" in window.status_label.text()
    assert window.progress.value() == 1000
    window.copy_button.click()
    assert QGuiApplication.clipboard().text() == table_text(window.model.table, "\t")
    path = tmp_path / "index.csv"
    window.export(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == window.model.rowCount() + 1
    assert float(rows[1][rows[0].index("height")]) == window.model.table.column("height")[0]


def test_that_a_failed_export_shows_an_error(
    qtbot: QtBot, window: DemonstrationWindow, tmp_path: Path
) -> None:
    window.export(tmp_path / "no such folder" / "table.csv")
    assert (
        window.status_label.property("problem") and "no such folder" in window.status_label.text()
    )


def test_that_an_invalid_value_disables_run(window: DemonstrationWindow) -> None:
    window.choose("random_matrix_index")
    assert window.form is not None
    editor = next(editor for editor in window.form.editors.values() if editor.field.name == "seed")
    editor.editor().setText("-5")  # type: ignore[attr-defined]
    editor.editor().textEdited.emit("-5")  # type: ignore[attr-defined]
    assert not window.run_button.isEnabled()


def test_that_choosing_another_demonstration_stops_the_current_one(
    qtbot: QtBot, window: DemonstrationWindow
) -> None:
    window.choose("width_success")
    window.run()
    qtbot.waitUntil(lambda: window.tasks.active, timeout=60_000)
    window.choose("symmetry")
    ended(qtbot, window)
    assert window.chosen() == "symmetry"


def test_that_the_window_follows_the_theme(qtbot: QtBot, window: DemonstrationWindow) -> None:
    window.choose("random_matrix_index")
    window.run()
    ended(qtbot, window)
    try:
        theme.choose("dark")
        assert window.plots[0].colors == theme.DARK.plots
    finally:
        theme.choose("system")


def plot(**parts: object) -> Plot:
    return Plot("A plot", Axis("x", "m", log=True), Axis("y"), **parts)  # type: ignore[arg-type]


@pytest.fixture
def result_plot(qtbot: QtBot) -> ResultPlot:
    widget = ResultPlot()
    qtbot.addWidget(widget)
    widget.resize(500, 400)
    widget.show()
    return widget


def test_that_lines_points_and_bars_lie_where_they_belong(result_plot: ResultPlot) -> None:
    x, y = np.array([1.0, 10.0, 100.0]), np.array([1.0, 2.0, 4.0])
    result_plot.show_plot(
        plot(curves=(Curve("a", x, y, np.full(3, 0.5)),), scatters=(Scatter("b", x, y + 3.0),))
    )
    result_plot.refresh()
    (left, right), (low, high) = result_plot.canvas.view.viewRange()
    assert left < 0.0 < 2.0 < right and low < 0.5 and high > 7.0
    assert result_plot.legend.keys() == ("a", "b")
    assert not result_plot.message.isVisible()


def test_that_switching_everything_off_says_so(result_plot: ResultPlot) -> None:
    x = np.array([1.0, 10.0])
    result_plot.show_plot(plot(curves=(Curve("a", x, x), Curve("b", x, x))))
    result_plot.refresh()
    for key in ("a", "b"):
        result_plot.legend.entry(key).setChecked(False)
    result_plot.refresh()
    assert "are hidden" in result_plot.message.text()


def test_that_an_image_is_drawn_from_below(result_plot: ResultPlot) -> None:
    values = np.array([[0.0, 0.0], [1.0, 1.0]])
    result_plot.show_plot(
        Plot("Image", Axis("x"), Axis("y"), image=Image(values, (0.0, 1.0), (0.0, 1.0)))
    )
    result_plot.refresh()
    (item,) = result_plot._items
    shown_pixels = item.image  # type: ignore[attr-defined]
    # The scale goes from dark to light.
    assert shown_pixels[1, 0].sum() > shown_pixels[0, 0].sum()


def test_that_what_is_not_positive_is_left_out_on_a_logarithmic_axis(
    result_plot: ResultPlot,
) -> None:
    result_plot.show_plot(plot(curves=(Curve("a", np.array([-1.0, 0.0]), np.array([1.0, 2.0])),)))
    result_plot.refresh()
    assert "Nothing to draw" in result_plot.message.text()


@pytest.mark.parametrize(
    ("cell", "words"),
    [(None, "–"), (3, "3"), (12345, "12,345"), (0.125, "0.125"), ("word", "word")],
)
def test_that_cells_read_well(cell: object, words: str) -> None:
    assert shown(cell) == words  # type: ignore[arg-type]


def test_that_a_table_is_written_in_full() -> None:
    table = Table((Column("time", "s"), Column("what")), ((1 / 3, "a,b"), (None, "c")))
    assert table_text(table, ",") == 'time [s],what\n0.3333333333333333,"a,b"\n,c\n'
