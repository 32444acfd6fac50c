"""How long 200 runs of other programs take to be read, by program, and how long to look again.

python tests/benchmarks/bench_foreign_runs.py [--runs 200] [--steps 500]
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from optlab.tasks.watched_runs import WatchedFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    kinds = (_tensorboard, _table, _lines, _trainer_state)
    with tempfile.TemporaryDirectory() as place:
        for number in range(arguments.runs):
            folder = Path(place) / f"{number:04}"
            folder.mkdir()
            kinds[number % len(kinds)](folder, arguments.steps)
        runs = WatchedFolder(Path(place))
        for what in ("first", "again"):
            begun = time.perf_counter()
            runs.read()
            print(f"{what}: {len(runs.runs)} runs in {time.perf_counter() - begun:.2f} s")


def _tensorboard(folder: Path, steps: int) -> None:
    with SummaryWriter(str(folder)) as writer:
        for step in range(steps):
            writer.add_scalar("loss", 1 / (step + 1), step)


def _table(folder: Path, steps: int) -> None:
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "loss", "val"])
        writer.writerows([step // 10, step, 1 / (step + 1), ""] for step in range(steps))


def _lines(folder: Path, steps: int) -> None:
    with (folder / "log.jsonl").open("w") as file:
        for step in range(steps):
            file.write(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n")


def _trainer_state(folder: Path, steps: int) -> None:
    history = [{"step": step, "loss": 1 / (step + 1), "epoch": 0.1} for step in range(steps)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


if __name__ == "__main__":
    main()
