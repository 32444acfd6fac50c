"""A foreign training loop that is watched: ``python train_watched.py FOLDER STEPS``.

With 0 steps it never ends. At the end it prints the sum of its weights. Without arguments it starts
such a loop for each folder that it reads from standard input, and prints its process: torch is
imported once for all of them.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

import torch

import optlab


def main(folder: str, steps: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    w = optlab.watch(model, optimizer, folder=folder, every=3)
    x = torch.randn(64, 10)
    for _ in range(steps) if steps else itertools.count():
        optimizer.zero_grad()
        loss = (model(x) - x[:, :1]).square().mean()
        loss.backward()
        optimizer.step()
        w.log(loss=loss)
    print(sum(float(p.detach().double().sum()) for p in model.parameters()))


def nursery() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is killed leaves no zombie
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            main(line.strip(), 0)
        print(process, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], int(sys.argv[2]))
    else:
        nursery()
