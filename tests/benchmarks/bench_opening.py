"""How long the window takes to be painted and to be complete, and two commands to end.

Run it under a virtual screen: ``xvfb-run -a python tests/benchmarks/bench_opening.py
[--turns 9] [--against CHECKOUT] [--json]``. Every measurement is a process of its own that goes
through the entry point; the turns of what is compared alternate, and the first of each is not
counted. ``--against`` compares with another checkout of OptLab, whose window may be painted and
complete at once. Unset ``PYTHONDONTWRITEBYTECODE``.
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

OWN = Path(__file__).parents[2]

OPEN = """
import time
begun = time.perf_counter()
import json, os, sys
{first}

def watched(application):
    from PySide6.QtCore import QCoreApplication, QEvent, QObject

    class Watch(QObject):
        moments = {{}}
        window = None

        def eventFilter(self, watched, event):
            # Paint events are nested in the event that flushes the window: this one comes after it.
            if (
                event.type() == QEvent.Type.Paint
                and watched.isWidgetType()
                and watched.objectName() == "mainWindow"
            ):
                self.window = watched
                QCoreApplication.postEvent(self, QEvent(QEvent.Type.User), 1_000_000)
            return False

        def event(self, event):
            if event.type() == QEvent.Type.User:
                now = time.perf_counter() - begun, time.process_time()
                self.moments.setdefault("painted", now)
                if getattr(self.window, "_built", True):
                    self.moments["complete"] = now
                    print(json.dumps(self.moments), flush=True)
                    os._exit(0)
            return True

    application.watch = Watch()
    application.installEventFilter(application.watch)
    return application

class Finder:
    # Watches the application from its creation on without importing anything of Qt before.
    def find_spec(self, name, path=None, target=None):
        if name != "optlab.gui.app":
            return None
        import importlib.util
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            create = module.create_application
            module.create_application = lambda arguments: watched(create(arguments))

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
import optlab.entry
optlab.entry.main([])
"""


def environment(checkout: Path, home: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "PYTHONPATH": str(checkout), "OPTLAB_HOME": home}


def opened(checkout: Path = OWN, first: str = "") -> dict[str, tuple[float, float]]:
    """Return when a window was painted and complete: seconds, and seconds of processor time.

    Counted from a fresh interpreter's first line, which ``first`` follows.
    """
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", OPEN.format(first=first)],
            capture_output=True,
            text=True,
            check=True,
            env=environment(checkout, home),
        )
    return {name: tuple(value) for name, value in json.loads(done.stdout).items()}


def command(checkout: Path, arguments: list[str]) -> dict[str, tuple[float, float]]:
    """Return how long a whole command took: seconds, and seconds of processor time."""
    with tempfile.TemporaryDirectory() as home:
        before, begun = os.times(), time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "optlab"),
                *(argument.format(checkout=checkout) for argument in arguments),
            ],
            capture_output=True,
            check=True,
            env=environment(checkout, home),
            cwd=home,
        )
        seconds, after = time.perf_counter() - begun, os.times()
    spent = after.children_user + after.children_system
    return {"ended": (seconds, spent - before.children_user - before.children_system)}


def compared(name: str, moment: str, mine: list[dict], others: list[dict]) -> dict[str, float]:  # type: ignore[type-arg]
    """Return medians of the pairs' ratios, and ratios of the shortest times."""
    results: dict[str, float] = {}
    for part, label in ((0, ""), (1, ", processor time")):
        a = [turn[moment][part] for turn in mine]
        b = [turn["complete" if "complete" in turn else moment][part] for turn in others]
        ratios = [x / y for x, y in zip(a, b, strict=True)]
        results[f"{name}{label}: median"] = statistics.median(ratios)
        results[f"{name}{label}: of the shortest"] = min(a) / min(b)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    mine: list[dict[str, tuple[float, float]]] = []
    with_torch: list[dict[str, tuple[float, float]]] = []
    others: list[dict[str, tuple[float, float]]] = []
    for _ in range(asked.turns + 1):
        mine.append(opened())
        with_torch.append({"painted": opened(first="import torch")["painted"]})
        if asked.against:
            others.append(opened(asked.against.resolve()))
    results = compared(
        "window painted, against importing torch first", "painted", mine[1:], with_torch[1:]
    )
    for moment in ("painted", "complete"):
        for part, label in ((0, "seconds"), (1, "seconds of processor time")):
            values = [turn[moment][part] for turn in mine[1:]]
            results[f"window {moment}, {label}: median"] = statistics.median(values)
        if asked.against:
            name = f"window {moment}, against complete at {asked.against.name}"
            results.update(compared(name, moment, mine[1:], others[1:]))
    if asked.against:
        # Each checkout runs its own file: names of fields may have changed.
        preset = "{checkout}/resources/presets/digits-mlp.toml"
        for arguments in (
            ["list", "optimizers"],
            ["run", preset, "--set", "budget.steps=100", "--json"],
        ):
            pairs = [
                (command(OWN, arguments), command(asked.against.resolve(), arguments))
                for _ in range(asked.turns + 1)
            ][1:]
            name = f"optlab {arguments[0]}, against {asked.against.name}"
            results.update(compared(name, "ended", [a for a, _ in pairs], [b for _, b in pairs]))
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
