"""The landscape window on a stored run: planes, lines, the spectrum, the critical point, and what
it says when there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.landscape.landscape_window import LandscapeWindow
from optlab.runners import WorkerPool, train
from optlab.store import Store
from optlab.tasks.landscape import (
    CriticalPointTask,
    LineTask,
    SliceTask,
    SpectrumTask,
    run_escapes,
    with_path,
)
from optlab.tasks.subject import stored
from optlab.training.control import Inbox


def run(seed: int = 0, steps: int = 60, **sections: object) -> str:
    """Train a small network, and the id of the run."""
    experiment = Experiment.from_dict(
        {
            "seed": seed,
            "device": "cpu",
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
            "loss": {"name": "cross_entropy", "l2": 0.01},
            "optimizer": {"name": "momentum", "lr": 0.05},
            "budget": {"steps": steps},
            **sections,
        }
    )
    pool = WorkerPool()
    owner = train([experiment], runner="thread", store=paths.writable_home(), pool=pool)
    for _ in range(6000):
        owner.drain()
        if not owner.alive:
            break
        owner.join(0.01)
    owner.drain()
    assert owner.join(10.0)
    pool.close()
    with Store.open() as store:
        return store.runs()[0].id


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[LandscapeWindow]:
    prewarmer = WorkerPrewarmer()
    window = LandscapeWindow(prewarmer)
    qtbot.addWidget(window)
    yield window
    window.close()
    prewarmer.end()


def settled(qtbot: QtBot, window: LandscapeWindow) -> None:
    qtbot.waitUntil(
        lambda: (
            not window.listing.active and not window.tasks.active and not window.busy.isVisible()
        ),
        timeout=60_000,
    )


def compute_tab(qtbot: QtBot, window: LandscapeWindow, tab: str) -> None:
    (place,) = [index for index in range(window.tabs.count()) if window.tabs.tabText(index) == tab]
    window.tabs.setCurrentIndex(place)
    window.compute()
    settled(qtbot, window)


def test_that_the_newest_run_is_shown_on_the_plane_of_its_path(
    qtbot: QtBot, window: LandscapeWindow
) -> None:
    run()
    newest = run(seed=1)
    window.show()
    qtbot.waitUntil(lambda: "path's variance" in window.status_label.text(), timeout=60_000)
    settled(qtbot, window)
    assert window.run.currentData() == newest
    assert window.contours._relief is not None and window.contours._relief.z.shape == (41, 41)
    (track,) = window.contours._tracks
    assert np.allclose(track.points[-1], 0.0, atol=1e-9)


def test_that_each_tab_computes_what_it_shows(qtbot: QtBot, window: LandscapeWindow) -> None:
    run()
    window.show()
    settled(qtbot, window)
    compute_tab(qtbot, window, "Line")
    assert window.line._slice is not None and "±" in window.status_label.text()
    compute_tab(qtbot, window, "Spectrum")
    result = window.density._result
    assert result is not None and result.negative is not None and result.zero is not None
    assert window.eigenvalues.rowCount() == result.parameters == len(result.whole)
    threshold = 1e-6 * np.abs(result.whole).max()
    assert result.negative == int((result.whole < -threshold).sum())
    counts = (
        f"of {result.parameters:,} eigenvalues {result.negative:,} are negative, "
        f"{result.zero:,} zero and {result.positive:,} positive"
    )
    assert counts in window.status_label.text() and "3.8/λ₁" in window.status_label.text()
    assert window.density._result is not None and len(window.density._result.grid) > 0
    compute_tab(qtbot, window, "Critical point")
    assert (
        "At the weights" in window.result_text.text()
        and "Saddle-free Newton" in window.result_text.text()
    )
    assert len(window.norms.keys) == 1


def test_that_a_search_without_end_is_no_critical_point(
    qtbot: QtBot, window: LandscapeWindow
) -> None:
    """Iris is separable by a softmax, so that its loss has an infimum and no minimum."""
    name = run(model={"name": "linear"}, loss={"name": "cross_entropy"})
    *_, found = CriticalPointTask(name).run(Inbox())
    assert found.runs_off and not found.converged and not found.escapes
    window.show()
    settled(qtbot, window)
    compute_tab(qtbot, window, "Critical point")
    text = window.result_text.text()
    assert "runs off to infinity" in text and "At the critical point" not in text
    assert "infimum" in window.status_label.text()


def test_that_the_critical_point_of_a_classifier_is_a_minimum_apart_from_its_symmetry(
    qtbot: QtBot, window: LandscapeWindow
) -> None:
    run(model={"name": "linear"})
    window.show()
    settled(qtbot, window)
    compute_tab(qtbot, window, "Critical point")
    text = window.result_text.text()
    assert "a minimum" in text and "apart from 1 flat direction of the model" in text


def test_that_a_stopped_computation_can_be_started_again(
    qtbot: QtBot, window: LandscapeWindow
) -> None:
    run()
    window.show()
    qtbot.waitUntil(lambda: window.tasks.active, timeout=60_000)
    window.stop_button.click()
    assert not window.tasks.active and window.status_label.text() == "Stopped."
    compute_tab(qtbot, window, "Line")
    assert window.line._slice is not None and not window.status_label.property("problem")


def test_that_another_run_clears_the_results(qtbot: QtBot, window: LandscapeWindow) -> None:
    first = run()
    run(seed=1)
    window.show()
    qtbot.waitUntil(lambda: window.contours._relief is not None, timeout=60_000)
    settled(qtbot, window)
    window.choose(first)
    settled(qtbot, window)
    assert window.run.currentData() == first
    assert window.contours._relief is None and window.view._relief is None


def test_that_a_plane_through_a_run_of_another_model_shows_an_error(
    qtbot: QtBot, window: LandscapeWindow
) -> None:
    other = run(model={"name": "mlp", "hidden": [5], "activation": "tanh"})
    run()
    window.show()
    settled(qtbot, window)
    window.plane.setCurrentIndex(window.plane.findData("runs"))
    assert window.other.isEnabled()
    window.other.setCurrentIndex(window.other.findData(other))
    compute_tab(qtbot, window, "Plane")
    assert "other parameters" in window.status_label.text()


def test_that_without_a_run_it_says_what_to_do(qtbot: QtBot, window: LandscapeWindow) -> None:
    window.show()
    settled(qtbot, window)
    assert "No run is stored yet" in window.status_label.text()
    assert not window.compute_button.isEnabled()


def test_that_the_window_follows_the_theme(window: LandscapeWindow) -> None:
    try:
        theme.choose("dark")
        assert window.contours.colors == window.density.colors == theme.DARK.plots
    finally:
        theme.choose("system")


def test_that_few_snapshots_are_filled_up_by_training_again() -> None:
    name = run(steps=80)
    assert len(stored(name).path) < 12
    filled = with_path(name, 0)
    assert len(filled.path) == 81
    np.testing.assert_allclose(filled.theta, stored(name).theta, rtol=1e-6)


def test_that_a_slice_between_two_runs_has_their_losses_at_its_ends() -> None:
    first, second = run(), run(seed=1)
    *_, found = SliceTask(first, "runs", second, points=5, examples=0).run(Inbox())
    here, there = (stored(name) for name in (first, second))
    row = int(np.argmin(np.abs(found.b)))
    for subject, at in ((here, 0.0), (there, 1.0)):
        column = int(np.argmin(np.abs(found.a - at)))
        assert found.a[column] == pytest.approx(at)
        assert found.loss[column, row] == pytest.approx(
            float(subject.landscape.value(subject.theta)[0]), rel=1e-9
        )


def test_that_a_line_begins_at_the_weights() -> None:
    name = run()
    (found,) = LineTask(name, points=21, examples=0).run(Inbox())
    subject = stored(name)
    assert found.loss[10] == pytest.approx(
        float(subject.landscape.value(subject.theta)[0]), rel=1e-9
    )


@pytest.mark.parametrize(("examples", "shown"), [(0, 3), (1000, 3), (20, 0)])
def test_that_methods_go_on_from_a_critical_point_of_all_examples_only(
    examples: int, shown: int
) -> None:
    *_, found = CriticalPointTask(run(), steps=5, examples=examples).run(Inbox())
    assert len(found.escapes) == shown


def test_that_newton_goes_back_to_a_saddle_which_the_others_leave() -> None:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "deep_linear", "depth": 2, "width": 3},
            "loss": {"name": "squared_error"},
            "optimizer": {"name": "sgd", "lr": 0.1},
            "clipping": {"name": "norm", "threshold": 1e-6},
        }
    )
    # Weights of zero are a saddle of a product of two matrices, which then predicts nothing: the
    # squared length of a one-hot target is left.
    point = torch.zeros(experiment.layout().total, dtype=torch.float64)
    found = {
        label: (objective, distance)
        for label, objective, distance in run_escapes(experiment, point.unsqueeze(0))
    }
    (descent, newton, free) = found.values()
    assert newton[1] < 5e-3 and newton[0] == pytest.approx(1.0, rel=1e-4)
    assert free[1] > 0.5 and free[0] < 0.8 * newton[0]
    assert descent[1] > 0.1


@pytest.mark.parametrize(
    ("optimizer", "factor", "known"),
    [
        ({"name": "sgd", "lr": 0.05}, 2.0, True),
        ({"name": "momentum", "lr": 0.05, "momentum": 0.5}, 3.0, True),
        ({"name": "adam"}, 2.0, False),
    ],
)
def test_that_the_edge_of_stability_is_that_of_the_method_of_the_run(
    optimizer: dict[str, object], factor: float, known: bool
) -> None:
    found = next(iter(SpectrumTask(run(steps=5, optimizer=optimizer)).run(Inbox())))
    assert found.factor == factor and (found.rate is not None) == known


def test_that_the_spectrum_is_that_of_the_dense_hessian() -> None:
    name = run()
    *_, found = SpectrumTask(name, examples=0).run(Inbox())
    subject = stored(name)
    values = np.linalg.eigvalsh(subject.landscape.hessian(subject.theta).dense()[0].numpy())
    np.testing.assert_allclose(found.top, values[::-1][:8], rtol=1e-4)
    np.testing.assert_allclose(found.bottom, values[:4], rtol=1e-3, atol=1e-6)
    assert found.negative == int((values < -1e-6 * np.abs(values).max()).sum())
    assert found.path is not None
    assert len(found.path.steps) == len(found.path.lowest) == 11 and found.path.steps[-1] == 60
    assert found.path.lowest[-1] == pytest.approx(values[0], rel=1e-6)
    assert found.trace == pytest.approx(values.sum(), abs=6 * found.trace_error + 1e-9)
