"""The runs dialog evaluates a stored run on its test part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.panels.test_part_dialog import TestPartDialog
from optlab.gui.summary import summary
from optlab.store import Store
from optlab.training.control import Inbox
from optlab.training.events import RunEnded
from optlab.training.session import session


@pytest.fixture
def prewarmer() -> Iterator[WorkerPrewarmer]:
    prewarmer = WorkerPrewarmer()
    yield prewarmer
    prewarmer.end()


def trained(**sections: object) -> tuple[str, RunEnded]:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "linear"},
            "budget": {"steps": 20},
            **sections,
        }
    )
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
        ended = None
        for event in session([experiment], Inbox()):
            writer.record(event)
            if isinstance(event, RunEnded):
                ended = event
        writer.close()
        assert ended is not None
        return store.runs()[0].id, ended


def test_that_the_dialog_shows_the_confusion_matrix_of_the_run(
    qtbot: QtBot, prewarmer: WorkerPrewarmer
) -> None:
    run, ended = trained()
    dialog = TestPartDialog(prewarmer, run)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 3, timeout=60_000)
    shown = [
        [int(dialog.table.item(row, column).text() or 0) for column in range(3)] for row in range(3)
    ]
    assert tuple(map(tuple, shown)) == ended.confusion
    assert dialog.table.verticalHeaderItem(1).text() == "versicolor"
    error = ended.final["test_error"]
    assert error is not None and f"Test error: {error:.2%}" in dialog.figures.text()
    assert "Against validation" in dialog.figures.text()
    qtbot.waitUntil(lambda: not dialog.tasks.active, timeout=60_000)
    dialog.reject()


def test_that_regression_has_figures_and_no_matrix(
    qtbot: QtBot, prewarmer: WorkerPrewarmer
) -> None:
    run, _ = trained(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        loss={"name": "squared_error"},
        optimizer={"name": "sgd", "lr": 0.01},
    )
    dialog = TestPartDialog(prewarmer, run)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: "R²" in dialog.figures.text(), timeout=60_000)
    assert not dialog.table.isVisible() and not dialog.heading.isVisible()
    qtbot.waitUntil(lambda: not dialog.tasks.active, timeout=60_000)
    dialog.reject()


def test_that_a_run_that_cannot_be_evaluated_says_why(
    qtbot: QtBot, prewarmer: WorkerPrewarmer
) -> None:
    run, _ = trained(dataset={"name": "iris", "test": 0.0})
    dialog = TestPartDialog(prewarmer, run)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: "no test part" in dialog.figures.text(), timeout=60_000)
    dialog.reject()


def test_that_the_summary_of_a_run_has_the_figures_that_only_it_has() -> None:
    _, ended = trained(
        loss={"name": "cross_entropy", "l2": 0.01}, clipping={"name": "norm", "threshold": 0.1}
    )
    text = summary(ended)
    for figure in ("Weight-decay terms", "Weight norm", "Training margin", "Clipped share"):
        assert figure in text
    assert "against validation" in text
