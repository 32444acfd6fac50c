"""Steps a second of one process and of two ranks, the same work in turns, and what a sum costs.

The network is 64-256-256-10 on the digits. Rounds are interleaved, since other programs of the
machine come and go; the fastest and the median round are shown. A sum over the ranks alone is
measured in the same run: with batches of one example nearly nothing else is left to share.
"""

from __future__ import annotations

import argparse
import statistics

from optlab.experiment import Experiment
from optlab.runners import train
from optlab.runners.ranks import RanksRunner
from optlab.runners.runner import Runner
from optlab.training.events import RunEnded

ROUNDS = 5


def experiment(batch: int, steps: int, precision: str) -> Experiment:
    return Experiment.from_dict(
        {
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": [256, 256]},
            "optimizer": {"name": "momentum"},
            "batches": {"name": "shuffled", "size": batch},
            "precision": precision,
            "budget": {"steps": steps},
            "measures": {"evaluate_every": 10**6, "gradient_every": 10**6},
        }
    )


def speed(one: Experiment, runner: str | Runner) -> float:
    job = train([one], runner=runner)
    ended: RunEnded | None = None
    while job.wait(300) and (events := job.drain()):
        for event in events:
            ended = event if isinstance(event, RunEnded) else ended
    job.join(60)
    assert ended is not None
    return ended.steps / ended.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    print("precision  batch   1 process (steps/s)   2 ranks (steps/s)   median ratio")
    for precision in ("float32", "float64"):
        for batch, steps in ((1, 1000), (128, 1000), (1024, 300)):
            one = experiment(batch, steps, precision)
            alone, shared = [], []
            for _ in range(rounds):
                alone.append(speed(one, "process"))
                shared.append(speed(one, RanksRunner(2)))
            ratios = [two / single for two, single in zip(shared, alone, strict=True)]
            print(
                f"{precision:<9} {batch:>6}   "
                f"median {statistics.median(alone):6.0f}, best {max(alone):6.0f}   "
                f"median {statistics.median(shared):6.0f}, best {max(shared):6.0f}   "
                f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
