"""The runs panel with 10,000 runs, and 16 runs of 100,000 steps laid over a plot.

The store is filled with copies of a few runs whose settings differ; the newest have curves in their
rows, with ``--curves`` all. Times are those of the processor, because other programs may use the
machine; frames are medians, and those of scrolling and of overlaid runs also by the clock. Run it
off screen or under a virtual screen:

    QT_QPA_PLATFORM=offscreen python tests/benchmarks/bench_runs.py [--runs 10000] [--steps 100000]
    [--curves] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtWidgets import QApplication

if TYPE_CHECKING:
    from optlab.gui.runs.runs_panel import RunsPanel
    from optlab.store import Store

FRAMES = 60
OVERLAID = 16
SIZE = (1200, 800)
IDLE_SECONDS = 20.0
WITH_CURVES = 64
"""Runs with a curve in their rows: more than the panel shows at once."""
CURVE_STEPS = 5_000


def milliseconds(act: Callable[[], object]) -> float:
    begun = time.thread_time()
    act()
    return 1000.0 * (time.thread_time() - begun)


def fill(home: Path, count: int, *, curves: bool) -> None:
    """Store ``count`` runs with settings, seeds and results that differ.

    Args:
        curves: whether all have curves, not the newest alone.
    """
    from optlab.experiment import Experiment
    from optlab.store import Store, database
    from optlab.store.records import RUNS
    from optlab.training.events import Series, SeriesBlock

    base = {"title": "Bench", "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
    rules = [
        {"name": name, "lr": lr} for name in ("momentum", "adam", "sgd") for lr in (0.01, 0.1, 1.0)
    ]
    with Store.open(home) as store:
        first = []
        for number, rule in enumerate(rules):
            document = {**base, "title": f"Bench {number % 3}", "optimizer": rule}
            with closing(store.begin([Experiment.from_dict(document)], "thread")) as writer:
                first += writer.run_ids
        records = [store.run(run) for run in first]
        with database.transaction(store._connection):
            for number in range(count - len(first)):
                record = records[number % len(records)]
                run = f"{record.id[:-5]}-{number:05d}"
                copy = dataclasses.replace(
                    record,
                    id=run,
                    population=run,
                    status="finished",
                    steps=number,
                    color=number,
                    experiment=record.experiment.replace("seed = 0", f"seed = {number // 9}", 1),
                    final={"validation_loss": 1.0 / (number + 1), "train_loss": 0.5},
                )
                store._connection.execute(RUNS.insert, RUNS.values(copy))
        RUNS.write_checksums(
            store._connection, *(f"{one.id[:-5]}-{n:05d}" for n in range(count) for one in records)
        )
        # The newest, which the panel shows at first, have series, from which their curves are read.
        at = np.arange(1, CURVE_STEPS + 1)
        for number in range(WITH_CURVES):
            # With a rate of its own each, so that they are no seeds of one another.
            rule = {"name": "momentum", "lr": 0.001 * (number + 1.5)}
            document = {**base, "title": f"Newest {number}", "optimizer": rule}
            values = np.exp(-at / (100.0 + 10.0 * number))[:, None]
            with closing(store.begin([Experiment.from_dict(document)], "thread")) as writer:
                writer.record(SeriesBlock(CURVE_STEPS, 1.0, {"batch_loss": Series(at, values)}))
        if curves:
            copy_series(store, writer.run_ids[0])


def copy_series(store: Store, pattern: str) -> None:
    """Give the series of a run to all runs that have none."""
    from optlab.store import chunks, database

    connection = store._connection
    with database.transaction(connection):
        bundles = connection.execute(
            "SELECT number, columns FROM bundles WHERE run = ?", (pattern,)
        ).fetchall()
        blocks = connection.execute(
            "SELECT bundle, number, first_step, last_step, rows, sealed, data FROM chunks "
            "WHERE run = ?",
            (pattern,),
        ).fetchall()
        bare = "SELECT id FROM runs WHERE id NOT IN (SELECT run FROM bundles)"
        for (run,) in connection.execute(bare).fetchall():
            connection.executemany(
                "INSERT INTO bundles (run, number, columns) VALUES (?, ?, ?)",
                [(run, *bundle) for bundle in bundles],
            )
            connection.executemany(
                "INSERT INTO chunks (run, bundle, number, first_step, last_step, rows, sealed, data, "
                "checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (run, *block, chunks._checksum(run, block[0], block[1], block[4], block[6]))
                    for block in blocks
                ],
            )


def panel_figures(application: QApplication) -> dict[str, float]:
    from optlab.gui.bridge import TaskBridge
    from optlab.gui.runs.runs_panel import RunsPanel
    from optlab.gui.runs.shown_runs import ShownRuns
    from optlab.tasks.run_table import RunChangesTask, RunTable, RunTableTask
    from optlab.tasks.sparklines import SparklineTask

    found: list[RunTable] = []
    shown = ShownRuns()
    work = TaskBridge(None)
    work.answered.connect(found.append)
    begun = time.process_time()
    panel = RunsPanel(shown)
    panel.resize(320, 900)
    panel.show()
    application.processEvents()
    painted = 1000.0 * (time.process_time() - begun)
    work.ask(RunTableTask())
    while not found:
        application.processEvents()
        time.sleep(0.005)
    table = found[0]
    filled = milliseconds(lambda: (panel.set_table(table), panel.grab()))
    opened = 1000.0 * (time.process_time() - begun)
    figures = {
        "runs": float(len(table.rows)),
        "panel is there, milliseconds": painted,
        "10,000 runs are listed, milliseconds": opened,
        "of which in the window's thread": filled,
    }

    drawn = count_of_curves(panel, application)
    figures["rows with a curve"] = float(drawn)
    figures["paint rows with their curves, milliseconds"] = statistics.median(
        milliseconds(panel.grab) for _ in range(5)
    )
    figures |= scroll_figures(panel, application)
    newest = [run for run, row in table.rows.items() if row.record.title.startswith("Newest")]
    figures[f"read curves of {WITH_CURVES} runs in the background, milliseconds"] = milliseconds(
        lambda: list(SparklineTask(tuple(newest)).run(None))  # type: ignore[arg-type]
    )

    def filtered(text: str) -> Callable[[], object]:
        def act() -> None:
            panel.filter.setText(text)
            panel.apply_filter()
            panel.grab()

        return act

    for text in ("adam", "lr<0.05", "validation_loss<=0.001 -sgd", ""):
        figures[f"filter {text!r}, milliseconds"] = statistics.median(
            milliseconds(filtered(text)) for _ in range(3)
        )
    figures["sort, milliseconds"] = milliseconds(lambda: panel.tree.sortByColumn(3, panel_order()))
    figures["nothing changed, milliseconds"] = statistics.median(
        milliseconds(lambda: list(RunChangesTask(table).run(None)))
        for _ in range(20)  # type: ignore[arg-type]
    )
    from optlab.store import Store
    from optlab.store.labels import Labels

    with Store.open() as store:
        store.label({next(iter(table.rows)): Labels(starred=True)})
    figures["one row changed, milliseconds"] = milliseconds(
        lambda: list(RunChangesTask(table).run(None))  # type: ignore[arg-type]
    )
    work.shut_down()
    panel.close()
    return figures


def scroll_figures(panel: RunsPanel, application: QApplication) -> dict[str, float]:
    """Scroll from top to bottom in pages; each is drawn, and its curves are asked for."""
    bar = panel.tree.verticalScrollBar()
    busy, clock = [], []
    for page in range(FRAMES):
        bar.setValue(round(page * bar.maximum() / (FRAMES - 1)))
        begun = time.perf_counter()
        busy.append(milliseconds(panel.tree.viewport().repaint))
        clock.append(1000.0 * (time.perf_counter() - begun))
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            application.processEvents()
            time.sleep(0.002)
    bar.setValue(0)
    return {
        "a page while scrolling, milliseconds": statistics.median(busy),
        "the slowest page, milliseconds": max(busy),
        "a page while scrolling by the clock, milliseconds": statistics.median(clock),
        "the slowest page by the clock, milliseconds": max(clock),
    }


def count_of_curves(panel: object, application: QApplication) -> int:
    """Return how many curves are read once the rows were painted: those of the visible rows."""
    from optlab.gui.runs.sparklines import Sparklines

    (curves,) = panel.findChildren(Sparklines)  # type: ignore[attr-defined]
    end = time.monotonic() + 20.0
    while time.monotonic() < end and (curves.work.active or curves._wanted or not curves._known):
        application.processEvents()
        time.sleep(0.005)
    return sum(len(points) > 1 for _, points in curves._known.values())


def panel_order() -> object:
    from PySide6.QtCore import Qt

    return Qt.SortOrder.DescendingOrder


def overlay_figures(application: QApplication, steps: int, window: object) -> dict[str, float]:
    from optlab.gui.plots.loss_plot import LossPlot
    from optlab.gui.plots.overlay import Overlay, SeriesKey
    from optlab.gui.plots.plot_link import PlotLink
    from optlab.gui.plots.pyramid import Pyramid
    from optlab.gui.plots.smoothing import moving_average
    from optlab.tasks.run_scales import RunScale
    from optlab.training.events import Series, SeriesBlock

    random = np.random.default_rng(0)
    at = np.arange(1, steps + 1)
    plot = LossPlot()
    link = PlotLink(plot)
    plot.set_link(link)
    overlays = []
    key = SeriesKey("batch_loss")
    scale = RunScale(seconds=[(float(steps), 30.0)])
    for run in range(OVERLAID):
        values = np.exp(-at / steps * 3) * np.exp(random.normal(size=steps) * 0.3) + 0.1 * run
        samples, average = Pyramid(), Pyramid()
        samples.append(at, values)
        average.append(at, moving_average(values, 0.99)[0])
        overlays.append(
            Overlay(
                f"run{run}",
                f"run {run}",
                run,
                samples={key: samples},
                averages={key: average},
                scale=scale,
            )
        )
    plot.resize(*SIZE)
    plot.show()
    figures = {}
    for name, smooth in (("raw", False), ("raw and smoothed", True)):
        laid = overlays if smooth else [dataclasses.replace(one, averages={}) for one in overlays]
        # In turn with others, since the same runs are not laid again.
        others = [dataclasses.replace(one, color=one.color + 1) for one in laid]
        both = itertools.cycle((others, laid))
        figures[f"lay {OVERLAID} runs, {name}, milliseconds"] = milliseconds(
            lambda both=both: plot.set_overlays(next(both))
        )
        plot.set_overlays(laid)
        link.set_unit("seconds" if smooth else "steps")
        application.processEvents()
        times, clock = [], []
        for frame in range(FRAMES):
            # The own run grows, so everything is drawn anew.
            block = SeriesBlock(
                frame + 1,
                0.01 * frame,
                {"batch_loss": Series(np.array([frame + 1 + FRAMES * smooth]), np.ones((1, 1)))},
            )

            def draw(block: SeriesBlock = block) -> None:
                plot.add(block)
                plot.refresh()
                plot.canvas.viewport().repaint()

            begun = time.perf_counter()
            times.append(milliseconds(draw))
            clock.append(time.perf_counter() - begun)
        figures[f"frame of {OVERLAID} x {steps:,} steps, {name}, milliseconds"] = statistics.median(
            times
        )
        figures[f"frames a second by the clock, {name}"] = 1.0 / statistics.median(clock)
        figures[f"slowest frame by the clock, {name}, milliseconds"] = 1000.0 * max(clock)
    plot.close()
    return figures


def idle_share(application: QApplication) -> float:
    """Return the share of a core that a window with the runs panel uses while nothing happens."""
    from optlab.experiment import Experiment
    from optlab.gui.main_window import MainWindow

    window = MainWindow(
        Experiment.from_dict({"dataset": {"name": "iris"}, "model": {"name": "mlp"}}), "thread"
    )
    window.show()

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # As the event loop does it: nothing is done until something happens.
            application.processEvents()
            time.sleep(0.02)

    wait(10.0)
    window.runs._poll.stop()
    base = _cpu()
    wait(IDLE_SECONDS)
    without = _cpu() - base
    window.runs._poll.start()
    base = _cpu()
    wait(IDLE_SECONDS)
    share = (_cpu() - base - without) / IDLE_SECONDS
    window.close_without_asking()
    return share


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--curves", action="store_true", help="curves in all rows")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    application = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OPTLAB_HOME"] = folder
        fill(Path(folder), asked.runs, curves=asked.curves)
        results = panel_figures(application)
        results |= overlay_figures(application, asked.steps, None)
        results["share of a core for looking at 10,000 runs"] = idle_share(application)
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()
