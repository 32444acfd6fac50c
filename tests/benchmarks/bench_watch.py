"""What watching costs: a foreign loop with ``optlab.watch`` against the same loop without.

Copies of the loop take turns of about a second, so that all meet the same machine, and so that what
is read is written as often as in a loop that runs alone: by the clock. Counted is the time of
processors: of the loop, and of the thread that writes. The figure is the median ratio of ``--turns``
turns, each of ``--steps`` steps. Each turn has loops of its own, since two equal loops differ by some
per cent, by where their tensors lie in memory; the ratio of two loops without ``watch`` stands beside
the figure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

import optlab

BLOCK = 1000
"""Steps that one loop takes before it is the other's turn."""
WARM_UP = 600
"""Steps of each loop before it is measured, until the distance of the readings is known."""


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


def turn(
    optimizer: str, folder: str, steps: int, number: int
) -> tuple[float, float, dict[str, Any]]:
    """Return the ratios of a watched and of a second plain loop to a plain one, and the state."""
    kinds = [False, False, True]
    # Which loop is built first must not be what is measured.
    order = [(place + number) % 3 for place in range(3)]
    built = {place: Loop(optimizer, folder, kinds[place]) for place in order}
    loops = [built[place] for place in range(3)]
    for loop in loops:
        loop.run(WARM_UP)
    watcher = loops[2].watcher
    assert watcher is not None
    began = watcher._writer.spent
    seconds = [0.0, 0.0, 0.0]
    for block in range(steps // BLOCK):
        for turn_of in range(3):
            place = (turn_of + block) % 3
            seconds[place] += loops[place].run(BLOCK)
    seconds[2] += watcher._writer.spent - began
    state = {**watcher._state(), "step_seconds": seconds[0] / steps}
    watcher.detach()
    return seconds[2] / seconds[0], seconds[1] / seconds[0], state


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--turns", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for optimizer in ("SGD", "Adam"):
            turns = [turn(optimizer, folder, asked.steps, number) for number in range(asked.turns)]
            watched, plain = (
                statistics.median(each) for each in list(zip(*turns, strict=True))[:2]
            )
            ratios = sorted(ratio for ratio, _, _ in turns)
            states = [state for _, _, state in turns]
            step, says, every = (
                statistics.median(state[name] for state in states)
                for name in ("step_seconds", "overhead", "every")
            )
            print(
                f"64-256-256-10, batch 128, {optimizer}: {1e6 * step:.0f} µs a step, with watch "
                f"{watched:.3f} of it, {ratios[0]:.3f} to {ratios[-1]:.3f} (two plain loops "
                f"{plain:.3f}; says {1 + says:.3f}; all statistics every {every:.0f} steps)"
            )


if __name__ == "__main__":
    main()
