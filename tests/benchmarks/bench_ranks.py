"""What a step takes that two ranks share, beside the same step in one process.

The network is 64-256-256-10 on the digits. Both take turns of some steps within the same processes, so
that other programs of the machine slow both alike; figures are medians over the turns. Processor time
is that of one rank: what it saves of the arithmetic, and what summing costs it. "sum" is a sum of
this many parameters alone.

    python tests/benchmarks/bench_ranks.py [--turns 20]
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from optlab.experiment import Experiment
from optlab.objective.ranks import join, leave
from optlab.training.trainer import Trainer

STEPS = 20
CASES = [(precision, batch) for precision in ("float32", "float64") for batch in (1, 128, 1024)]


def experiment(precision: str, batch: int) -> Experiment:
    return Experiment.from_dict(
        {
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": [256, 256]},
            "optimizer": {"name": "momentum"},
            "batches": {"name": "shuffled", "size": batch},
            "precision": precision,
            "budget": {"steps": 10**6},
        }
    )


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of one of so many acts: that pass, and of this processor."""
    passed, busy = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        act()
    scale = 1000.0 / STEPS
    return (time.perf_counter() - passed) * scale, (time.process_time() - busy) * scale


def measure(turns: int) -> None:
    """Measure as one of the ranks."""
    ranks = join(lambda: False)
    if ranks.first:
        print("precision  batch      one process          two ranks            sum       ratio")
        print("                    ms a step (processor)  ms (processor)  ms (processor)  of ms")
    for precision, batch in CASES:
        one = experiment(precision, batch)
        shared, alone = Trainer([one], ranks=ranks), Trainer([one])
        gradient = torch.zeros_like(shared.theta)
        found: dict[str, list[tuple[float, float]]] = {"alone": [], "shared": [], "sum": []}
        for turn in range(turns + 1):
            rows = {
                "shared": timed(shared.advance),
                "sum": timed(functools.partial(ranks.sum, gradient)),
            }
            if ranks.first:
                rows["alone"] = timed(alone.advance)
            ranks.from_first(torch.zeros(1))
            ranks.sum(torch.zeros(1))
            shared.recorder.flush()
            alone.recorder.flush()
            if turn:  # the first one warms up
                for name, row in rows.items():
                    found[name].append(row)
        if ranks.first:
            middle = {
                name: tuple(statistics.median(column) for column in zip(*rows, strict=True))
                for name, rows in found.items()
            }
            cells = "   ".join(f"{middle[name][0]:7.2f} ({middle[name][1]:6.2f})" for name in found)
            ratio = middle["alone"][0] / middle["shared"][0]
            print(f"{precision:<9} {batch:>6}   {cells}   {ratio:5.2f}", flush=True)
    leave(ranks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    turns = parser.parse_args().turns
    if "RANK" in os.environ:
        measure(turns)
        return
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [sys.executable, *launcher, __file__, "--turns", str(turns)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )


if __name__ == "__main__":
    main()
