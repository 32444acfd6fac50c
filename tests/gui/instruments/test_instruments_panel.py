"""The instruments beside a run: cards, switches, plots, pictures, and the window that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from optlab.catalogue.instruments.conditioning import Conditioning
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.instruments.pictures import plot_of
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.colors import DARK
from optlab.store import Store
from optlab.training.events import InstrumentCosts, InstrumentImage, Series, SeriesBlock


@pytest.fixture
def panel(qtbot: QtBot) -> InstrumentsPanel:
    panel = InstrumentsPanel()
    qtbot.addWidget(panel)
    panel.resize(1000, 700)
    panel.show()
    return panel


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    tables = {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"name": "momentum"},
        "budget": {"steps": 200},
        "instruments": {"conditioning": {"every": 20}},
    }
    window = MainWindow(Experiment.from_dict(tables), runner="thread")
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close_without_asking()


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)


def block(**series: Any) -> SeriesBlock:
    made = {}
    for name, (values, columns) in series.items():
        array = np.asarray(values, dtype=np.float64)
        made[name.replace("__", ".")] = Series(
            np.arange(1, len(array) + 1), array[:, None], columns
        )
    return SeriesBlock(10, 1.0, made)


def test_that_there_is_a_card_for_every_instrument(panel: InstrumentsPanel) -> None:
    assert set(panel.cards) == set(registry.names("instrument"))
    for card in panel.cards.values():
        assert not card.on and not card.tabs.isVisible()
        assert set(card.plots) == {quantity.name for quantity in card.instrument.gives}
        assert (card.picture is not None) == bool(card.instrument.draws)


def test_that_switching_emits_name_and_fields(qtbot: QtBot, panel: InstrumentsPanel) -> None:
    emitted: list[tuple[str, Any]] = []
    panel.switched.connect(lambda name, values: emitted.append((name, values)))
    card = panel.cards["spectrum"]
    card.box.setChecked(True)
    assert emitted[-1][0] == "spectrum" and emitted[-1][1] == card.values()
    assert panel.tables() == {"spectrum": card.values()} and card.tabs.isVisible()
    card.box.setChecked(False)
    assert emitted[-1] == ("spectrum", None) and panel.tables() == {}


def test_that_tables_are_shown_without_a_signal(qtbot: QtBot, panel: InstrumentsPanel) -> None:
    with qtbot.assertNotEmitted(panel.switched):
        panel.set_tables({"margins": {"every": 7}})
    assert panel.cards["margins"].on and panel.tables()["margins"]["every"] == 7
    panel.set_tables({})
    assert panel.tables() == {}


def test_that_numbers_and_vectors_become_curves(panel: InstrumentsPanel) -> None:
    panel.set_tables({"conditioning": {}, "gradients_by_layer": {}})
    panel.add(
        block(
            conditioning__gg=([3.0, 2.0, 1.0], ()),
            gradients_by_layer__norm=([[1.0, 2.0], [3.0, 4.0]], ("a.weight", "b.weight")),
        )
    )
    panel.refresh()
    reading = panel.cards["conditioning"].plots["gg"].curve("gg").samples.reading(3)
    assert reading is not None and reading[2] == reading[3] == 1.0
    assert panel.cards["gradients_by_layer"].plots["norm"].keys == ("a.weight", "b.weight")
    panel.clear()
    assert panel.cards["conditioning"].plots["gg"].keys == ()


def test_that_quantities_of_one_axis_share_a_plot(panel: InstrumentsPanel) -> None:
    panel.set_tables({"conditioning": {}})
    panel.add(
        block(
            conditioning__predicted=([-3.0, -2.0], ()),
            conditioning__actual=([-2.5, -1.5], ()),
            conditioning__gg=([3.0, 2.0], ()),
            conditioning__ghg=([30.0, 20.0], ()),
        )
    )
    card = panel.cards["conditioning"]
    for names in (("predicted", "actual"), ("gg", "ghg")):
        (plot,) = {card.plots[name] for name in names}
        assert plot.keys == names
        assert len({plot.curve(name).color for name in names}) == 2
    assert card.plots["predicted"] is not card.plots["gg"]
    assert card.plots["predicted"].legend.entry("actual").text() == "Actual change"
    assert card.tabs.count() == len({id(plot) for plot in card.plots.values()})
    panel.clear()
    assert all(plot.keys == () for plot in card.plots.values())


def test_that_costs_are_shown_in_steps(panel: InstrumentsPanel) -> None:
    panel.set_tables({"conditioning": {"every": 10}})
    panel.show_costs(InstrumentCosts(100, 0.001, {"conditioning": 0.0005}))
    assert (
        panel.cards["conditioning"].cost.text() == "a reading costs 0.5 steps, 5.0% of the training"
    )


def test_that_what_an_instrument_draws_is_shown(panel: InstrumentsPanel) -> None:
    panel.set_tables({"reliability": {}})
    arrays = {
        "edges": np.linspace(0, 1, 3),
        "probability": np.array([0.2, 0.8]),
        "accuracy": np.array([0.3, 0.7]),
        "count": np.array([5.0, 5.0]),
    }
    panel.show_image(InstrumentImage(0, 40, "reliability", arrays))
    card = panel.cards["reliability"]
    assert card.tabs.tabText(0) == "Step 40"
    assert card.picture is not None and card.picture._plot is not None
    assert [curve.name for curve in card.picture._plot.curves] == [
        "Perfect calibration",
        "This run",
    ]


def test_that_the_panel_follows_the_theme(panel: InstrumentsPanel) -> None:
    panel.set_colors(DARK)
    assert all(plot.colors == DARK for card in panel.cards.values() for plot in card.plots.values())


def test_that_a_histogram_is_drawn_as_steps() -> None:
    plot = plot_of("Norms", {"edges": np.array([0.0, 1.0, 2.0]), "counts": np.array([3.0, 5.0])})
    assert plot is not None
    (curve,) = plot.curves
    assert curve.x.tolist() == [0.0, 1.0, 1.0, 2.0] and curve.y.tolist() == [3.0, 3.0, 5.0, 5.0]


def test_that_other_pictures_are_curves_over_the_first_array() -> None:
    x = np.array([1.0, 10.0, 1000.0])
    plot = plot_of("Excess", {"steps": x, "excess": 1.0 / x, "fit": 2.0 / x})
    assert plot is not None and plot.x.log and plot.y.log
    assert [curve.name for curve in plot.curves] == ["Excess", "Fit"]
    alone = plot_of("By time", {"norm": np.array([1.0, 2.0])})
    assert alone is not None and alone.curves[0].x.tolist() == [1.0, 2.0]
    assert plot_of("Nothing", {}) is None


def test_that_a_run_fills_the_cards_and_is_stored_with_them(
    qtbot: QtBot, window: MainWindow
) -> None:
    window.controls.start_button.click()
    idle(qtbot, window)
    plot = window.instruments.cards["conditioning"].plots["gg"]
    assert plot.keys == ("gg", "ghg")
    with Store.open() as store:
        (record,) = store.runs()
        assert "conditioning.gg" in store.series(record.id)
    window.instruments.clear()
    window.show_stored(record.id)
    qtbot.waitUntil(lambda: plot.keys == ("gg", "ghg"), timeout=60_000)
    assert window.instruments.cards["conditioning"].on


def test_that_an_instrument_can_be_switched_while_a_run_goes(
    qtbot: QtBot, window: MainWindow
) -> None:
    editor = window.experiment_panel.plain["budget"].editors["steps"]
    editor.set_value(10_000_000)
    window.controls.start_button.click()
    qtbot.waitUntil(window.controls.stop_button.isEnabled, timeout=60_000)
    window.instruments.cards["update_ratio"].set_values({"every": 5})
    window.instruments.cards["update_ratio"].switched.emit(
        "update_ratio", window.instruments.cards["update_ratio"].values()
    )
    qtbot.waitUntil(
        lambda: bool(window.instruments.cards["update_ratio"].plots["ratio"].keys), timeout=60_000
    )
    window.controls.stop_button.click()
    idle(qtbot, window)
    assert set(window.experiment_panel.experiment().to_dict()["instruments"]) == {
        "conditioning",
        "update_ratio",
    }


def test_that_a_tile_of_an_instrument_that_is_off_says_what_it_measures_and_how_to_begin(
    qtbot: QtBot, window: MainWindow
) -> None:
    window.board.open_tile("instrument.spectrum")
    card = window.instruments.cards["spectrum"]
    assert card.about.isVisibleTo(card) and "Tick the box" in card.about.text()
    card.box.setChecked(True)
    assert card.on and not card.about.isVisibleTo(card)
    card.box.setChecked(False)
    assert card.about.isVisibleTo(card)
    among_others = window.instruments.cards["margins"]
    assert not among_others.about.isVisibleTo(among_others)


def test_that_one_that_does_not_exist_here_says_why_and_stays_off(window: MainWindow) -> None:
    card = window.instruments.cards["clipped_steps"]
    card.box.setChecked(True)
    assert not card.on and "cannot be switched on" in card.problem.text()
    assert window.experiment_panel.problem() == ""
    assert set(window.experiment_panel.experiment().to_dict()["instruments"]) == {"conditioning"}


def test_that_an_instrument_that_fails_is_switched_off_on_its_card_with_the_reason(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Conditioning, context: Any, memory: Any) -> Any:
        raise RuntimeError("the matrix is singular")

    monkeypatch.setattr(Conditioning, "read", read)
    window.start()
    idle(qtbot, window)
    card = window.instruments.cards["conditioning"]
    reason = (
        "The instrument “Conditioning” switched itself off: its reading failed with RuntimeError: "
        "the matrix is singular. The training is not affected."
    )
    assert (card.on, card.problem.text()) == (False, reason)
    with Store.open_readonly() as store:
        (run,) = store.runs()
    assert run.status == "finished"
    window.instruments.set_tables({})
    window.show_stored(run.id)
    qtbot.waitUntil(lambda: card.problem.text() == reason, timeout=60_000)
    assert not card.on
