"""Trials a second of a study against what a user would pick instead, each as a whole command.

The work is the same everywhere: 64 learning rates of a small network on digits, from one start on
the same batches, with the loss of every step kept; the final training losses are compared. The
commands take turns, and ratios are medians over the turns.

    python tests/benchmarks/bench_studies.py [--turns 3] [--steps 4000] [--only NAME] [--json]

* ``study``: ``optlab study``, which trains populations on all cores and stores everything.
* ``compiled``: the same with compiled steps; the time of the compiler counts.
* ``optuna``: Optuna's grid sampler around an eager loop, one process a core on one journal.
* ``ray``: Ray Tune around the same loop, one trial a core.
* ``runs``: ``optlab run`` in a shell loop; 8 of the 64 are timed.

Optuna and Ray are not among the dependencies; what is not installed is left out and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATES = [float(f"{rate:.6g}") for rate in np.geomspace(1e-3, 1.0, 64)]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TIMED_RUNS = 8

BASE = """
{compiled}
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [32]
[optimizer]
name = "momentum"
momentum = 0.9
[batches]
name = "shuffled"
size = 32
[budget]
steps = {steps}
[measures]
evaluate_every = 1000000000
weights = 0
"""

LOOP = """
import json, sys
import numpy as np
import torch

torch.set_num_threads(1)
given = dict(np.load(sys.argv[1]))  # Ray sends it to its workers
X, Y = torch.from_numpy(given["x"]), torch.from_numpy(given["y"])
ORDER = torch.from_numpy(given["order"])

def train(rate):
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    torch.nn.utils.vector_to_parameters(torch.from_numpy(given["start"]).clone(), model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    losses, norms = [], []
    for rows in ORDER:
        rows = rows[rows >= 0]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(X[rows]), Y[rows])
        loss.backward()
        norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm().item())
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(X), Y).item()
"""

OPTUNA = (
    LOOP
    + """
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
rates, share = json.loads(sys.argv[2]), sys.argv[4]
study = optuna.create_study(
    storage=JournalStorage(JournalFileBackend(sys.argv[3])), study_name="rates",
    sampler=optuna.samplers.GridSampler({"rate": rates}, seed=0), load_if_exists=True,
)
mine = json.loads(share)
for rate in mine:
    study.enqueue_trial({"rate": rate})
    trial = study.ask()
    rate = trial.suggest_categorical("rate", rates)
    study.tell(trial, train(rate), skip_if_finished=True)
"""
)

RAY = (
    LOOP
    + """
import os
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import ray
from ray import tune

ray.init(num_cpus=int(sys.argv[4]), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
def trial(config):
    tune.report({"loss": train(config["rate"])})
tuner = tune.Tuner(
    tune.with_resources(trial, {"cpu": 1}),
    param_space={"rate": tune.grid_search(json.loads(sys.argv[2]))},
    run_config=tune.RunConfig(storage_path=sys.argv[3], verbose=0),
)
results = tuner.fit()
print(json.dumps([[r.config["rate"], r.metrics["loss"]] for r in results]))
"""
)


def prepare(folder: Path, steps: int) -> None:
    """Write the data, the start and the batches of the study's only seed."""
    import torch

    from optlab.objective.seeding import generators
    from optlab.studies.comparison import reading
    from optlab.training.trainer import Trainer

    base = BASE.replace("{steps}", str(steps))
    for name, line in (("base", ""), ("compiled", "compiled = true")):
        (folder / f"{name}.toml").write_text(base.replace("{compiled}", line))
    arms = "\n".join(f"[arms.r{i}]\noptimizer.lr = {rate}" for i, rate in enumerate(RATES))
    for name, base in (("study", "base"), ("compiled-study", "compiled")):
        (folder / f"{name}.toml").write_text(
            f'base = "{base}.toml"\n{arms}\n[seeds]\ncount = 1\n[measure]\nof = "train_loss"\n'
            '[decide]\nstatement = "r0 != r1"\n'
        )
    study = reading.load(folder / "study.toml")
    experiment = study.experiment("r0", 0, {})
    (folder / "run.toml").write_text(experiment.to_toml())
    trainer = Trainer([experiment])
    training = experiment.dataset.load().training
    orders = []
    n, size = len(training), experiment.batches.size
    examples = type("Examples", (), {"__len__": lambda self: n})()
    for epoch in range(math.ceil(steps / trainer.steps_per_epoch)):
        order = experiment.batches.epoch_order(examples, epoch, generators(experiment.general.seed))
        padded = torch.full((trainer.steps_per_epoch * size,), -1)
        padded[:n] = order
        orders.append(padded.view(-1, size))
    start = []
    for spec, offset in zip(trainer.layout.parameters, trainer.layout.offsets, strict=True):
        start.append(trainer.theta[0, offset : offset + spec.size])
    np.savez(
        folder / "given.npz",
        x=training.x.reshape(n, -1).astype(np.float32),
        y=training.y,
        order=torch.cat(orders)[:steps].numpy(),
        start=torch.cat(start).numpy(),
    )


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "OPTLAB_HOME": str(folder / "home"), "OMP_WAIT_POLICY": "PASSIVE"}


def study(folder: Path, name: str = "study") -> tuple[float, dict[float, float]]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "optlab", "study", str(folder / f"{name}.toml"), "--json"],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - began
    arms = json.loads(done.stdout)["arms"]
    return seconds, {rate: arms[f"r{i}"]["low"][0] for i, rate in enumerate(RATES)}


def compiled(folder: Path) -> tuple[float, dict[float, float]]:
    return study(folder, "compiled-study")


def optuna(folder: Path) -> tuple[float, dict[float, float]]:
    script, journal = folder / "optuna_loop.py", folder / f"journal-{time.time_ns()}.log"
    script.write_text(OPTUNA)
    began = time.perf_counter()
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                str(script),
                str(folder / "given.npz"),
                json.dumps(RATES),
                str(journal),
                json.dumps(RATES[core::CORES]),
            ]
        )
        for core in range(CORES)
    ]
    assert all(worker.wait() == 0 for worker in workers)
    seconds = time.perf_counter() - began
    found: dict[float, float] = {}
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    storage = library.storages.JournalStorage(
        library.storages.journal.JournalFileBackend(str(journal))
    )
    for trial in library.load_study(study_name="rates", storage=storage).trials:
        if trial.value is not None:
            found[trial.params["rate"]] = trial.value
    return seconds, found


def ray(folder: Path) -> tuple[float, dict[float, float]]:
    script = folder / "ray_loop.py"
    script.write_text(RAY)
    began = time.perf_counter()
    arguments = [str(folder / "given.npz"), json.dumps(RATES), str(folder / "ray"), str(CORES)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    return seconds, dict(json.loads(done.stdout.splitlines()[-1]))


def runs(folder: Path) -> tuple[float, dict[float, float]]:
    found: dict[float, float] = {}
    began = time.perf_counter()
    for rate in RATES[:: len(RATES) // TIMED_RUNS]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "optlab", "run", str(folder / "run.toml")),
                *("--set", f"optimizer.lr={rate}", "--json"),
            ],
            env=environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        found[rate] = json.loads(done.stdout)["final"]["train_loss"]
    return (time.perf_counter() - began) * len(RATES) / TIMED_RUNS, found


WAYS: dict[str, Callable[[Path], tuple[float, dict[float, float]]]] = {
    "study": study,
    "compiled": compiled,
    "optuna": optuna,
    "ray": ray,
    "runs": runs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--only", action="append", choices=list(WAYS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.only or list(WAYS)
    missing = [
        name for name in wanted if name in ("optuna", "ray") and not importlib.util.find_spec(name)
    ]
    ways = {name: WAYS[name] for name in wanted if name not in missing}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, dict[float, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place), arguments.steps)
        for _ in range(arguments.turns):
            for name, way in ways.items():
                took, losses[name] = way(Path(place))
                seconds[name].append(took)
    report = {
        name: {
            "trials_per_second": statistics.median(len(RATES) / took for took in times),
            "seconds": times,
            "speedup_of_study": statistics.median(
                took / own for took, own in zip(times, seconds["study"], strict=True)
            )
            if "study" in seconds
            else None,
            "largest_difference_of_losses": _difference(losses[name], losses.get("study", {})),
        }
        for name, times in seconds.items()
    }
    if arguments.json:
        print(
            json.dumps(
                {"steps": arguments.steps, "cores": CORES, "missing": missing, **report}, indent=2
            )
        )
        return
    for name in missing:
        print(f"{name}: not installed, left out")
    for name, row in report.items():
        spread = " ".join(f"{value:.1f}" for value in row["seconds"])
        print(
            f"{name:<8} {row['trials_per_second']:8.2f} trials/s   seconds {spread}   study is "
            f"{row['speedup_of_study'] or 1:.1f}x   losses differ by at most "
            f"{row['largest_difference_of_losses']:.1e} (relative)"
        )


def _difference(found: dict[float, float], reference: dict[float, float]) -> float:
    """Return the largest relative difference of final losses, of rates at which training is stable.

    Beyond them rounding grows step by step, in any two programs.
    """
    pairs = [
        (value, reference[rate])
        for rate, value in found.items()
        if rate <= 0.05 and reference.get(rate) is not None
    ]
    return max((abs(a - b) / abs(b) for a, b in pairs), default=math.nan)


if __name__ == "__main__":
    main()
