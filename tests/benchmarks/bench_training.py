"""Steps a second against what a user would write: a DataLoader, torch.optim, item() and a
TensorBoard writer.

Both store the loss and the gradient norm of every step. The two loops take turns in one process,
and ratios are medians over the turns.

    python tests/benchmarks/bench_training.py [--turns 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.training import events
from optlab.training.control import Inbox
from optlab.training.session import session

SMALL = {"hidden": [32], "batch": 32, "steps": 1500}
MEDIUM = {"hidden": [256, 256], "batch": 128, "steps": 200}
POPULATION = 64


def experiment(case: dict, seed: int = 0) -> Experiment:
    """Digits (64 inputs, 10 classes) with momentum, evaluated only at both ends, as the peer does
    not evaluate at all.
    """
    return Experiment.from_dict(
        {
            "seed": seed,
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": case["hidden"]},
            "optimizer": {"name": "momentum"},
            "batches": {"name": "shuffled", "size": case["batch"]},
            "budget": {"steps": case["steps"]},
            "measures": {"evaluate_every": 10**9, "weights": 0},
        }
    )


def peer(case: dict) -> Callable[[], float]:
    """The user's own loop; steps a second."""
    data = experiment(case).dataset.load().training
    dataset = TensorDataset(
        torch.tensor(data.x, dtype=torch.float32).flatten(1), torch.tensor(data.y)
    )

    def loop() -> float:
        widths = [64, *case["hidden"], 10]
        layers: list[torch.nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        loader = DataLoader(dataset, batch_size=case["batch"], shuffle=True)
        with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
            begun, step = time.perf_counter(), 0
            while step < case["steps"]:
                for x, y in loader:
                    optimizer.zero_grad()
                    loss = torch.nn.functional.cross_entropy(model(x), y)
                    loss.backward()
                    norm = torch.sqrt(sum(p.grad.square().sum() for p in model.parameters()))
                    optimizer.step()
                    writer.add_scalar("loss", loss.item(), step)
                    writer.add_scalar("gradient_norm", norm.item(), step)
                    step += 1
                    if step == case["steps"]:
                        break
            return step / (time.perf_counter() - begun)

    return loop


def ours(case: dict, runs: int = 1) -> Callable[[], float]:
    """The engine, every step recorded and stored; steps a second and run."""

    def loop() -> float:
        experiments = [experiment(case, seed) for seed in range(runs)]
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
            writer = store.begin(experiments, "thread")
            begun = 0.0
            for event in session(experiments, Inbox()):
                if isinstance(event, events.SessionStarted):
                    begun = time.perf_counter()
                writer.record(event)
            elapsed = time.perf_counter() - begun
            writer.close()
        return runs * case["steps"] / elapsed

    return loop


def compare(ours_: Callable[[], float], peer_: Callable[[], float], turns: int) -> dict[str, float]:
    """Medians of both and of their ratio, taken in turns after one turn to warm up."""
    ours_(), peer_()
    pairs = [(ours_(), peer_()) for _ in range(turns)]
    return {
        "ours": statistics.median(a for a, _ in pairs),
        "peer": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "lowest_ratio": min(a / b for a, b in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    few = {**SMALL, "steps": 500}
    results = {
        "small MLP 64-32-10, batch 32": compare(ours(SMALL), peer(SMALL), asked.turns),
        "medium MLP 64-256-256-10, batch 128": compare(ours(MEDIUM), peer(MEDIUM), asked.turns),
        "64 small runs at once, per run, against our own one after another": compare(
            ours(few, POPULATION), ours(few), asked.turns
        ),
        "64 small runs at once, per run, against the user's loop one after another": compare(
            ours(few, POPULATION), peer(few), asked.turns
        ),
    }
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(
            f"{name}: {figures['ratio']:.2f} x (lowest {figures['lowest_ratio']:.2f}); "
            f"{figures['ours']:,.0f} against {figures['peer']:,.0f} steps/s"
        )


if __name__ == "__main__":
    main()
