"""What instruments cost, in plain steps of the same run: the usual ones on their schedules, with
gradient noise, and each by itself.

Everything takes turns in one process, in processor time, which tells the same on a machine that
others use; figures are medians over the turns.

    python tests/benchmarks/bench_instruments.py [--turns 30] [--steps 400] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, cast

from optlab.catalogue.instruments.base import Instrument
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment, presets
from optlab.training.trainer import Trainer

MODELS = {
    "digits · MLP (preset, 64-64-10, batch 32)": [64],
    "digits · MLP 64-256-256-10, batch 128": [256, 256],
}


def plain(hidden: list[int]) -> Experiment:
    """The preset, with nothing to do but train."""
    (path,) = [path for path in presets.files() if path.stem == "digits-mlp"]
    found = (
        Experiment.load(path)
        .with_value("model.hidden", tuple(hidden))
        .with_value("measures.weights", 0)
    )
    return found.with_value("batches.size", 128) if len(hidden) > 1 else found


def usual(experiment: Experiment, every: int | None = None) -> Experiment:
    """With the instruments that are on together by default."""
    for one in cast("list[type[Instrument]]", registry.components("instrument")):
        if one.usual:
            experiment = experiment.with_instrument(
                one.name, {} if every is None else {"every": every}
            )
    return experiment


def cases(base: Experiment) -> dict[str, Experiment]:
    """What is compared."""
    found = {
        "plain": base,
        "usual, default schedules": usual(base),
        "usual and gradient noise, default schedules": usual(base).with_instrument(
            "gradient_noise", {}
        ),
        "usual, every step": usual(base, 1),
        "gradient noise, every step": base.with_instrument("gradient_noise", {"every": 1}),
        "conditioning, every step": base.with_instrument("conditioning", {"every": 1}),
        "top eigenvalue at 1e-5, warm, every step": base.with_instrument(
            "spectrum", {"every": 1, "tolerance": 1e-5}
        ),
    }
    return found


def measure(hidden: list[int], turns: int, steps: int) -> dict[str, float]:
    """Ratios to plain training, and seconds of a plain step."""
    trainers = {name: Trainer([experiment]) for name, experiment in cases(plain(hidden)).items()}
    times: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(turns + 2):
        for name, trainer in trainers.items():
            count = steps if "eigenvalue" not in name else max(1, steps // 8)
            begun = time.process_time()
            for _ in range(count):
                trainer.advance()
            spent = (time.process_time() - begun) / count
            trainer.recorder.flush()
            trainer.instrument_runner.drawn()
            if turn >= 2:
                times[name].append(spent)
    step = statistics.median(times["plain"])
    ratios = {
        name: statistics.median(a / b for a, b in zip(found, times["plain"], strict=True))
        for name, found in times.items()
    }
    return {"seconds of a plain step": step, **ratios}


def readings(hidden: list[int]) -> dict[str, float]:
    """One reading of each instrument, in plain steps."""
    base = plain(hidden)
    found: dict[str, float] = {}
    for one in cast("list[type[Instrument]]", registry.components("instrument")):
        try:
            trainer = Trainer([base.with_instrument(one.name, {"every": 4})])
        except InvalidInput:
            continue
        for _ in range(200):
            trainer.advance()
        step, seconds = trainer.instrument_runner.costs()
        found[one.name] = seconds[one.name] / step
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    document: dict[str, Any] = {
        name: {
            "ratios": measure(hidden, asked.turns, asked.steps),
            "plain steps a reading": readings(hidden),
        }
        for name, hidden in MODELS.items()
    }
    if asked.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for name, found in document.items():
        print(name)
        for title, figures in found.items():
            print(f"  {title}")
            for label, figure in figures.items():
                print(f"    {label:<46} {figure:.4g}")


if __name__ == "__main__":
    main()
