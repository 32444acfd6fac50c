"""The window against what it must not cost: speed kept while it draws, and lateness of its timers.
``bench_opening.py`` measures the time to its first paint.

Run it under a virtual screen: ``xvfb-run -a python tests/benchmarks/bench_window.py
[--turns 5] [--json]``. Speeds are ratios of turns that alternate between a run without a window and
the same run with the window drawing its default plots.
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


def lateness_and_speed(runner: str, steps: int) -> tuple[float, list[float]]:
    """Steps a second of digits · MLP · momentum with the window drawing, and how late each of its
    frames came, in milliseconds.
    """
    from PySide6.QtCore import QTimer

    from optlab.experiment import Experiment
    from optlab.gui import theme
    from optlab.gui.app import create_application
    from optlab.gui.bridge import FRAME_MILLISECONDS
    from optlab.gui.main_window import MainWindow
    from optlab.training import events

    application = create_application(["optlab"])
    theme.follow(application)
    window = MainWindow(experiment(steps), runner)  # type: ignore[arg-type]
    window.show()
    assert isinstance(window.experiment_panel.experiment(), Experiment)
    frames: list[float] = []
    ends: list[tuple[float, int]] = []
    starts: list[float] = []
    window.bridge.frameBegan.connect(lambda: frames.append(time.perf_counter()))
    window.bridge.on(events.SessionStarted, lambda _: starts.append(time.perf_counter()))
    window.bridge.on(events.RunEnded, lambda ended: ends.append((ended.seconds, ended.steps)))
    window.bridge.sessionEnded.connect(application.quit)
    # Until the spare worker has imported torch.
    QTimer.singleShot(6000, window.start)
    application.exec()
    window.close()
    inside = [frame for frame in frames if starts and frame > starts[0] + 0.2]
    gaps = [1000.0 * (b - a) for a, b in zip(inside, inside[1:], strict=False)]
    seconds, taken = ends[0]
    return taken / seconds, [max(0.0, gap - FRAME_MILLISECONDS) for gap in gaps]


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
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--one", default="")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.one == "alone":
        print(json.dumps({"speed": alone(asked.steps)}))
        return
    if asked.one:
        speed, late = lateness_and_speed(asked.one, asked.steps)
        print(json.dumps({"speed": speed, "late": late}))
        return
    results: dict[str, float] = {}
    for runner in ("process", "thread"):
        pairs = [
            (in_turn(runner, asked.steps), in_turn("alone", asked.steps))
            for _ in range(asked.turns)
        ]
        late = sorted(value for mine, _ in pairs for value in mine["late"])  # type: ignore[attr-defined]
        results[f"{runner}: speed kept with the window drawing"] = statistics.median(
            a["speed"] / b["speed"] for a, b in pairs
        )  # type: ignore[operator]
        results[f"{runner}: frames late, p99, milliseconds"] = late[int(0.99 * len(late))]
        results[f"{runner}: frames late, median, milliseconds"] = late[len(late) // 2]
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
