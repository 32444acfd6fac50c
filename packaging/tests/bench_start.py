"""How long the packaged program takes to its first window, against the source tree: medians of
turns that alternate.

Run it after ``make package``: ``python packaging/tests/bench_start.py [--turns 5] [--program
dist/optlab/optlab]``; the source tree is run by the interpreter that runs this.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bare import Screen

ROOT = Path(__file__).resolve().parents[2]


def seconds(command: list[str], screen: Screen) -> float:
    """From the start of a program to its window on the screen."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "DISPLAY": screen.name,
            "OPTLAB_HOME": home,
            "QT_QPA_PLATFORM": "xcb",
            "PYTHONPATH": str(ROOT),
        }
        begun = time.perf_counter()
        program = subprocess.Popen(
            command, env=environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        subprocess.run(
            ["xdotool", "search", "--sync", "--onlyvisible", "--name", "OptLab"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        taken = time.perf_counter() - begun
        program.terminate()
        program.wait(30)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--program", type=Path, default=ROOT / "dist" / "optlab" / "optlab")
    asked = parser.parse_args()
    screen = Screen()
    commands = {"packed": [str(asked.program)], "source": [sys.executable, "-m", "optlab"]}
    try:
        for command in commands.values():
            seconds(command, screen)  # so that both read from memory
        turns = [
            {name: seconds(command, screen) for name, command in commands.items()}
            for _ in range(asked.turns)
        ]
    finally:
        screen.close()
    for name in commands:
        print(
            f"{name}: {statistics.median(turn[name] for turn in turns):.2f} s to the first window"
        )
    print(
        "packed against source: "
        f"{statistics.median(turn['packed'] / turn['source'] for turn in turns):.2f}"
    )


if __name__ == "__main__":
    main()
