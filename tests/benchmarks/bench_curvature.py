"""What curvature costs, in plain steps of the same run: gᵀHg, the top eigenvalue, and a slice of 51
× 51 points.

Everything takes turns in one process on one thread; figures are medians over the turns, in
processor time, which leaves out what other programs take. PyHessian and loss-landscapes are
measured beside it where they are installed.

    python tests/benchmarks/bench_curvature.py [--turns 30] [--quick] [--json]
"""

# ruff: noqa: B023 - what is timed is called before the loop goes on

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from optlab.curvature import slices
from optlab.curvature.conditioning import along_gradient
from optlab.curvature.extremes import extremes
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.objective.hessian import GraphHessian
from optlab.training.capturing.recorded_hessians import RecordedHessians
from optlab.training.trainer import Trainer

CASES = {"digits, 64-32-10": [32], "digits, 64-64-10 (preset digits-mlp)": [64]}
_FIRST = 6
"""Turns that are not counted: by then products have been recorded and compared."""
SLICES = {
    "64-32-10, batch 32": ([32], 32),
    "64-32-10, 1,078 examples": ([32], 1078),
    "64-128-64-10, batch 32": ([128, 64], 32),
}


def trainer(hidden: list[int], steps: int = 200) -> Trainer:
    """A run on the digits with momentum, whose steps are ordinary ones."""
    document = {
        "seed": 0,
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "hidden": hidden},
        "loss": {"name": "cross_entropy", "l2": 0.001},
        "optimizer": {"name": "momentum", "lr": 0.05},
        "batches": {"name": "shuffled", "size": 32},
        "budget": {"steps": 10**7},
        "measures": {"evaluate_every": 10**9, "weights": 0},
    }
    found = Trainer([Experiment.from_dict(document)])
    for _ in range(steps):
        found.advance()
    return found


def batch(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """The first of the digits, in single precision."""
    part = trainer([32], 0).requested[0].dataset.load().training
    rows = slice(0, size)
    return torch.from_numpy(part.x[rows]).float(), torch.from_numpy(part.y[rows])


def seconds(what: Callable[[], Any]) -> float:
    """One call's."""
    begun = time.process_time()
    what()
    return time.process_time() - begun


def network(run: Trainer) -> torch.nn.Sequential:
    """The same network as torch has it, for the peers."""
    specs = run.layout.parameters
    layers: list[torch.nn.Module] = [torch.nn.Flatten()]
    for weight in specs[::2]:
        layers += [torch.nn.Linear(weight.shape[1], weight.shape[0]), torch.nn.ReLU()]
    found = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, value in zip(found.parameters(), run.layout.split(run.theta), strict=True):
            parameter.copy_(value[0])
    return found


def curvature(hidden: list[int], turns: int) -> dict[str, Any]:
    """Ratios to a plain step, and the errors of the eigenvalues."""
    run = trainer(hidden)
    data = batch()
    x, y = data[0].unsqueeze(0), data[1].unsqueeze(0)
    # As instruments have it: the operations of Hessian products are recorded.
    landscape = ObjectiveLandscape(run.objective, x, y, hessians=RecordedHessians().at)
    exact = ObjectiveLandscape(run.objective, x.double(), y)
    pyhessian = peer_eigenvalue()
    times: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    products: dict[str, list[int]] = {}
    last = extremes(landscape.hessian(run.theta).product, run.theta).top_vectors

    def timed(name: str, what: Callable[[], Any]) -> Any:
        kept: list[Any] = []
        times.setdefault(name, []).append(seconds(lambda: kept.append(what())))
        return kept[0]

    recorded = trainer(hidden, 0)
    recorded.capture_steps()
    for _ in range(200):
        recorded.advance()
    for turn in range(turns + _FIRST):
        if turn == _FIRST:
            times, errors, products = {}, {}, {}
        times.setdefault("plain step", []).append(
            seconds(lambda: [run.advance() for _ in range(10)]) / 10
        )
        times.setdefault("recorded step", []).append(
            seconds(lambda: [recorded.advance() for _ in range(10)]) / 10
        )
        theta = run.theta.clone()
        g = landscape.value_and_gradient(theta)[1]
        timed(
            "gᵀHg, second-order forward pass", lambda: along_gradient(run.objective, theta, g, x, y)
        )
        timed(
            "gᵀHg, double backward",
            lambda: GraphHessian(lambda p: total(run, p, x, y), theta).along(g),
        )
        largest = float(torch.linalg.eigvalsh(exact.hessian(theta.double()).dense()[0])[-1])

        def judge(name: str, value: float, count: int, largest: float = largest) -> None:
            errors.setdefault(name, []).append(abs(value - largest) / largest)
            products.setdefault(name, []).append(count)

        for name, start, settle in (
            ("top eigenvalue, cold, by its residual", None, "vector"),
            ("top eigenvalue, cold, by its value", None, "value"),
            ("top eigenvalue, warm, by its residual", last, "vector"),
            ("top eigenvalue, warm, by its value", last, "value"),
        ):
            found = timed(
                name,
                lambda start=start, settle=settle: extremes(
                    landscape.hessian(theta).product, theta, start=start, settle=settle
                ),
            )
            judge(name, float(found.top[0, 0]), int(found.products[0]))
        last = found.top_vectors
        if pyhessian is not None:
            # It knows no weight decay: the same is left out of the exact value, too.
            model = network(run)
            value = timed("top eigenvalue, PyHessian", lambda: pyhessian(model, *data))
            bare = GraphHessian(lambda p: run.objective.losses(p, x.double(), y), theta.double())
            judge(
                "top eigenvalue, PyHessian",
                value,
                0,
                float(torch.linalg.eigvalsh(bare.dense()[0])[-1]),
            )
    plain = statistics.median(times["plain step"])
    return {
        "plain step, µs": 1e6 * plain,
        **{
            name: {
                "steps": statistics.median(values) / plain,
                **(
                    {"error": statistics.median(errors[name]), "largest error": max(errors[name])}
                    if name in errors
                    else {}
                ),
                **(
                    {"products": statistics.median(products[name])}
                    if any(products.get(name, []))
                    else {}
                ),
            }
            for name, values in times.items()
            if name != "plain step"
        },
    }


def total(run: Trainer, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The objective with its weight decay."""
    return run.objective.total(theta, x, y)


def peer_eigenvalue() -> Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], float] | None:
    """PyHessian's top eigenvalue at its defaults; None where it is not installed."""
    try:
        from pyhessian import hessian
    except ImportError:
        return None

    def found(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, _ = hessian(
                model, torch.nn.CrossEntropyLoss(), data=(x, y), cuda=False
            ).eigenvalues()
        return float(values[0])

    return found


def surface(hidden: list[int], examples: int, turns: int, side: int = 51) -> dict[str, Any]:
    """A slice of side² points: all at once, one after another, and by loss-landscapes."""
    run = trainer(hidden)
    x, y = batch(examples)
    plane = slices.random_plane(run.layout, run.theta[0])
    at = torch.linspace(-1, 1, side)
    everyone = x.unsqueeze(0), y.unsqueeze(0)
    model = network(run)
    loss = torch.nn.CrossEntropyLoss()

    def at_once() -> torch.Tensor:
        return slices.grid(run.objective, plane, x, y, at, at, penalty=False)

    def one_by_one() -> torch.Tensor:
        with torch.no_grad():
            return torch.tensor(
                [
                    [
                        float(
                            run.objective.losses(
                                (plane.origin + a * plane.first + b * plane.second).unsqueeze(0),
                                *everyone,
                            )
                        )
                        for b in at
                    ]
                    for a in at
                ]
            )

    def by_module() -> torch.Tensor:
        rows = []
        with torch.no_grad():
            for a in at:
                row = []
                for b in at:
                    torch.nn.utils.vector_to_parameters(
                        plane.origin + a * plane.first + b * plane.second, model.parameters()
                    )
                    row.append(loss(model(x), y).item())
                rows.append(row)
        return torch.tensor(rows)

    double = [t.double() for t in (plane.origin, plane.first, plane.second)]
    exact = slices.Plane(*double, plane.labels)

    def in_double() -> torch.Tensor:
        return slices.grid(
            run.objective, exact, x.double(), y, at.double(), at.double(), penalty=False
        )

    ways = {
        "at once": at_once,
        "at once, in double precision": in_double,
        "engine, one by one": one_by_one,
        "torch module, one by one": by_module,
    }
    assert torch.allclose(at_once(), by_module(), rtol=1e-4, atol=1e-5)
    with contextlib.suppress(ImportError):
        import loss_landscapes
        import loss_landscapes.metrics

        metric = loss_landscapes.metrics.Loss(loss, x, y)
        fresh = network(run)

        def peer() -> Any:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return loss_landscapes.random_plane(
                    fresh,
                    metric,
                    distance=1,
                    steps=side,
                    normalization="filter",
                    deepcopy_model=True,
                )

        peer()
        ways["loss-landscapes"] = peer
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            times[name].append(seconds(way))
    ours = statistics.median(times["at once"])
    return {
        "at once, ms": 1e3 * ours,
        **{
            name: statistics.median(values) / ours
            for name, values in times.items()
            if name != "at once"
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument(
        "--quick", action="store_true", help="few turns: seconds, and a rough figure"
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    turns, of_slices = (5, 2) if asked.quick else (asked.turns, 5)
    results = {
        "curvature": {name: curvature(hidden, turns) for name, hidden in CASES.items()},
        "slices": {
            name: surface(hidden, examples, of_slices)
            for name, (hidden, examples) in SLICES.items()
        },
    }
    if asked.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
        return
    for name, figures in results["curvature"].items():
        print(f"{name}, batch 32: a plain step takes {figures.pop('plain step, µs'):.0f} µs")
        for what, found in figures.items():
            more = "".join(f", {key} {value:.2g}" for key, value in found.items() if key != "steps")
            print(f"  {what}: {found['steps']:.2f} steps{more}")
    for name, figures in results["slices"].items():
        print(
            f"{name}: 51 × 51 points at once: {figures.pop('at once, ms'):.1f} ms; others against "
            "it:"
        )
        for what, ratio in figures.items():
            print(f"  {what}: {ratio:.1f} x")


if __name__ == "__main__":
    main()
