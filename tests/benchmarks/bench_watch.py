"""What watching costs: a foreign loop with ``optlab.watch`` against the same loop without.

Two copies of the loop take turns, so that both meet the same machine, and the time of processors is
counted, the writer's thread included. The figure is the median of the ratios of neighbors. ``--steps`` and ``--turns`` choose the length.
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
        """Return the seconds of processors that a step takes, those of all threads together."""
        began = time.process_time()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            if self.watcher is not None:
                self.watcher.log(loss=loss)
        return (time.process_time() - began) / steps


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
            times = [(plain.run(asked.steps), watched.run(asked.steps)) for _ in range(asked.turns)]
            ratio = statistics.median(after / before for before, after in times)
            step = statistics.median(before for before, _ in times)
            state = watched.watcher._state()
            watched.watcher.detach()
            print(
                f"64-256-256-10, batch 128, {optimizer}: {1e6 * step:.0f} µs a step, with watch "
                f"{ratio:.3f} of it (says {1 + state['overhead']:.3f}; all statistics every "
                f"{state['every']} steps)"
            )


if __name__ == "__main__":
    main()
