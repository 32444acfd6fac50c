"""What watching costs: a foreign loop with ``optlab.watch`` against the same loop without.

Two copies of the loop take turns of ten steps, so that both meet the same machine. Counted is the time
of processors: of the loop, and of the thread that writes. The figure is the median ratio of ``--turns``
turns, each of ``--steps`` steps of both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

import optlab

BLOCK = 10
"""Steps that one loop takes before it is the other's turn."""


class Loop:
    """A training loop as a script has it; the loss is logged where ``watched``."""

    def __init__(self, optimizer: str, folder: str, watched: bool) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(64, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 10),
        )
        self.x, self.y = torch.randn(128, 64), torch.randint(0, 10, (128,))
        self.criterion = torch.nn.CrossEntropyLoss()
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), lr=1e-3)
        self.watcher = optlab.watch(self.model, self.optimizer, folder=folder) if watched else None

    def run(self, steps: int) -> float:
        """Return the seconds of a processor that so many steps take in this thread."""
        began = time.thread_time()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            if self.watcher is not None:
                self.watcher.log(loss=loss)
        return time.thread_time() - began


def turn(plain: Loop, watched: Loop, steps: int) -> tuple[float, float]:
    """Return the seconds of a step of each of two loops, which alternate."""
    began = watched.watcher._writer.spent
    alone = beside = 0.0
    for block in range(steps // BLOCK):
        for loop in (plain, watched) if block % 2 else (watched, plain):
            seconds = loop.run(BLOCK)
            if loop is plain:
                alone += seconds
            else:
                beside += seconds
    beside += watched.watcher._writer.spent - began
    return alone / steps, beside / steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for optimizer in ("SGD", "Adam"):
            plain, watched = Loop(optimizer, folder, False), Loop(optimizer, folder, True)
            for loop in (plain, watched):
                loop.run(300)
            times = [turn(plain, watched, asked.steps) for _ in range(asked.turns)]
            ratios = sorted(after / before for before, after in times)
            ratio = statistics.median(ratios)
            step = statistics.median(before for before, _ in times)
            state = watched.watcher._state()
            watched.watcher.detach()
            print(
                f"64-256-256-10, batch 128, {optimizer}: {1e6 * step:.0f} µs a step, with watch "
                f"{ratio:.3f} of it, {ratios[0]:.3f} to {ratios[-1]:.3f} (says {1 + state['overhead']:.3f}; all statistics every "
                f"{state['every']} steps)"
            )


if __name__ == "__main__":
    main()
