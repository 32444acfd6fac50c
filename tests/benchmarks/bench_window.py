"""The window against what it must not cost: speed kept while it draws, lateness of its frames, and
what it uses while nothing happens. ``bench_opening.py`` measures the time to its first paint.

Run it under a virtual screen: ``xvfb-run -a python tests/benchmarks/bench_window.py
[--turns 3] [--json]``; about three minutes where nothing else is in progress. Speeds are ratios of
turns that alternate between a run without a window and the same run with the window drawing its
default plots. Beside the lateness of a frame by the clock stands what is left of it without the time
that the window's thread was ready and waited for a processor: on a machine that others use, or where
a run keeps all cores busy, the difference says who is to blame.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTLE_MILLISECONDS = 2500
"""Time from the preview of the data to the start of the run: what opening begins is over."""
IDLE_SECONDS = 15.0


def lateness_and_speed(runner: str, steps: int) -> dict[str, object]:
    """Steps a second of digits · MLP · momentum with the window drawing, and how late each of its
    frames came, in milliseconds, by the clock and without waits for a processor.
    """
    from PySide6.QtCore import QTimer

    from optlab.gui import theme
    from optlab.gui.app import create_application
    from optlab.gui.bridge import FRAME_MILLISECONDS
    from optlab.gui.main_window import MainWindow
    from optlab.training import events

    application = create_application(["optlab"])
    theme.follow(application)
    window = MainWindow(experiment(steps), runner)  # type: ignore[arg-type]
    window.show()
    frames: list[tuple[float, float]] = []
    ends: list[tuple[float, int]] = []
    starts: list[float] = []
    window.bridge.frameBegan.connect(lambda: frames.append((time.perf_counter(), waited())))
    window.bridge.on(events.SessionStarted, lambda _: starts.append(time.perf_counter()))
    window.bridge.on(events.RunEnded, lambda ended: ends.append((ended.seconds, ended.steps)))
    window.bridge.sessionEnded.connect(application.quit)
    # The preview comes from the spare worker: with it, the worker has imported torch.
    begin = QTimer(window, singleShot=True, interval=SETTLE_MILLISECONDS)
    begin.timeout.connect(window.start)
    window.preview.finished.connect(begin.start)
    application.exec()
    window.close_without_asking()
    inside = [frame for frame in frames if starts and frame[0] > starts[0] + 0.2]
    pairs = list(zip(inside, inside[1:], strict=False))
    gaps = [1000.0 * (b[0] - a[0]) for a, b in pairs]
    own = [gap - 1000.0 * (b[1] - a[1]) for gap, (a, b) in zip(gaps, pairs, strict=True)]
    seconds, taken = ends[0]
    return {
        "speed": taken / seconds,
        "late": [max(0.0, gap - FRAME_MILLISECONDS) for gap in gaps],
        "late by itself": [max(0.0, gap - FRAME_MILLISECONDS) for gap in own],
    }


def waited() -> float:
    """Return the seconds for which this thread was ready and waited for a processor; 0 where the
    system does not say.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) * 1e-9
    except OSError:
        return 0.0


def idle_share() -> float:
    """Return the share of a core that the window uses while nothing happens: its processes, seen from
    outside, opened through the installed entry point.
    """
    import psutil

    opened = subprocess.Popen([sys.executable, "-m", "optlab"])
    try:
        own = psutil.Process(opened.pid)

        def used() -> dict[int, float]:
            times = {}
            for process in (own, *own.children(recursive=True)):
                spent = process.cpu_times()
                times[process.pid] = spent.user + spent.system
            return times

        # Until opening, previewing and warming up are over: two seconds with next to nothing in them.
        before = used()
        for _ in range(60):
            time.sleep(2.0)
            now = used()
            if sum(now.values()) > 2.0 and sum(now.values()) - sum(before.values()) < 0.1:
                break
            before = now
        before, begun = used(), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        spent = sum(used().values()) - sum(before.values())
        return spent / (time.perf_counter() - begun)
    finally:
        opened.terminate()
        opened.wait(10.0)


def experiment(steps: int):  # type: ignore[no-untyped-def]
    """The preset with a longer budget."""
    from optlab.core import paths
    from optlab.experiment import Experiment

    return Experiment.load(paths.presets() / "digits-mlp.toml").with_value("budget.steps", steps)


def alone(steps: int) -> float:
    """Steps a second of the same run without a window, stored as it is with one."""
    from optlab.store import Store
    from optlab.training import events
    from optlab.training.control import Inbox
    from optlab.training.session import session

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        asked = [experiment(steps)]
        writer = store.begin(asked, "thread")
        speed = 0.0
        for event in session(asked, Inbox()):
            writer.record(event)
            if isinstance(event, events.RunEnded):
                speed = event.steps / event.seconds
        writer.close()
    return speed


def in_turn(what: str, steps: int) -> dict[str, object]:
    """One measurement in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, __file__, "--one", what, "--steps", str(steps)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OPTLAB_HOME": home},
        )
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16_000)
    parser.add_argument("--one", default="")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        measured: dict[str, object]
        if asked.one == "alone":
            measured = {"speed": alone(asked.steps)}
        elif asked.one == "idle":
            measured = {"share": idle_share()}
        else:
            measured = lateness_and_speed(asked.one, asked.steps)
        print(json.dumps(measured))
        return
    turns = [
        {what: in_turn(what, asked.steps) for what in ("process", "alone", "thread")}
        for _ in range(asked.turns)
    ]
    results: dict[str, float] = {}
    for runner in ("process", "thread"):
        results[f"{runner}: speed kept with the window drawing"] = statistics.median(
            turn[runner]["speed"] / turn["alone"]["speed"]
            for turn in turns  # type: ignore[operator]
        )
        for key, label in (("late", ""), ("late by itself", ", without waits for a processor")):
            late = sorted(value for turn in turns for value in turn[runner][key])  # type: ignore[attr-defined]
            results[f"{runner}: frames late, p99, milliseconds{label}"] = late[
                int(0.99 * len(late))
            ]
            results[f"{runner}: frames late, median, milliseconds{label}"] = late[len(late) // 2]
    results["idle: share of a core"] = in_turn("idle", asked.steps)["share"]  # type: ignore[assignment]
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
