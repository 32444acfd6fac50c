"""What the main window shows of a stored run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core.errors import OptLabError
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.gui.plots.value_export import StoredValues
from optlab.gui.shown_run import PATH_NOT_STORED
from optlab.tasks.stored_runs import RunCurves
from optlab.training import events

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


def show_curves(window: MainWindow, curves: RunCurves) -> None:
    """Draw the curves of a stored run in the main window, with its diagnosis and messages."""
    record = curves.record
    try:
        experiment = Experiment.from_toml(record.experiment, check=False)
    except OptLabError as error:
        window.show_problem(str(error))
        return
    window.plots.clear()
    window.shown_run.show_stored(record)
    window.time.show_stored(curves)
    window.runs.live.show_stored(curves)
    window.model_views.show_stored(record)
    window.diagnosis_panel.clear()
    if curves.diagnosis.measured:
        window.diagnosis_panel.show_findings(curves.diagnosis.findings, in_progress=False)
    window.plots.set_task(curves.task)
    window.plots.set_followed(record.tracked)
    window.plots.set_value_source(StoredValues([record.id]))
    window.plots.set_path_note("" if curves.path is not None else PATH_NOT_STORED)
    if curves.path is not None:
        window.plots.show_path(curves.path)
    block = block_of(curves)
    window.plots.add(block)
    window.instruments.clear()
    window.instruments.set_tables(experiment.to_dict().get(INSTRUMENTS, {}))
    window.instruments.add(block)
    window.live_changes.show_log(curves.log, experiment)
    window.plots.refresh()
    window.controls.say(
        f"Showing “{printable(record.title)}”, {record.status} after {record.steps:,} steps."
    )


def block_of(curves: RunCurves) -> events.SeriesBlock:
    """Return all values of a stored run as one block."""
    return events.SeriesBlock(
        curves.record.steps,
        curves.record.seconds,
        {
            name: events.Series(values.steps, values.values[:, None], values.columns)
            for name, values in curves.series.items()
        },
    )
