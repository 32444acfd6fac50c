"""Scripts repeat their runs where OptLab cannot be imported: all of them in one process."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optlab
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.scripts import specialize
from optlab.scripts.writing import script
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SnapshotTaken
from optlab.training.session import session

BASE: dict[str, Any] = {
    "seed": 3,
    "precision": "float64",
    "dataset": {"name": "moons", "size": 60},
    "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
    "loss": {"name": "cross_entropy"},
    "optimizer": {"name": "sgd"},
    "batches": {"size": 10},
    "budget": {"steps": 11},
}
SEQUENCES = {
    "dataset": {"name": "adding_problem", "size": 40, "length": 4},
    "loss": {"name": "squared_error"},
}
IMAGES = {"dataset": {"name": "digits"}, "batches": {"size": 200}}

RUNNER = """
import builtins, contextlib, io, json, pathlib, sys
sys.modules["optlab"] = None  # importing it fails
import numpy, torch
results = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    space = {"__name__": "__main__", "__file__": str(path)}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), space)
    weights = {n: p.detach().flatten().tolist() for n, p in space["model"].named_parameters()}
    results[path.stem] = {"final": space["final"], "weights": weights, "printed": printed.getvalue()}
print(json.dumps(results))
"""


def cases() -> dict[str, dict[str, Any]]:
    """Name → what the experiment has in place of the base's tables."""
    found: dict[str, dict[str, Any]] = {}
    for rule in registry.components(Optimizer):
        written = rule.elementwise and not issubclass(rule, ObjectiveOptimizer)
        if written or rule.name in ("torch.adamw", "torch.rprop", "torch.muon"):
            found[f"rule {rule.name}"] = {"optimizer": {"name": rule.name}}
    models: dict[str, dict[str, Any]] = {
        "linear": {},
        "deep": {"model": {"name": "deep_linear", "depth": 3, "width": 4}},
        "normalized": {
            "model": {
                "name": "mlp",
                "hidden": [5, 5],
                "batch_norm": True,
                "skip": True,
                "auxiliary": 0.3,
            }
        },
        "autoencoder": {
            "model": {"name": "autoencoder", "code": 1},
            "loss": {"name": "squared_error"},
        },
        "cnn": {**IMAGES, "model": {"name": "cnn", "channels": [2, 3]}},
        "rnn": {**SEQUENCES, "model": {"name": "rnn", "units": 4}},
        "lstm": {**SEQUENCES, "model": {"name": "lstm", "units": 4}},
        "transformer": {
            **SEQUENCES,
            "model": {"name": "transformer", "width": 4, "heads": 2, "blocks": 1, "hidden": 5},
        },
        "dropout": {
            "model": {"name": "mlp", "hidden": [5, 6], "dropout": 0.4},
            "loss": {"name": "cross_entropy", "l2": 0.1},
            "stopping": {"name": "gradient_norm", "bound": 1e-9},
        },
        "dropout and more": {
            "model": {
                "name": "mlp",
                "hidden": [5, 5],
                "dropout": 0.3,
                "batch_norm": True,
                "skip": True,
                "auxiliary": 0.3,
            },
            "optimizer": {"name": "nesterov"},
        },
        "dropout cnn": {**IMAGES, "model": {"name": "cnn", "channels": [2], "dropout": 0.5}},
        "dropout transformer": {
            **SEQUENCES,
            "model": {
                "name": "transformer",
                "width": 4,
                "heads": 2,
                "blocks": 2,
                "hidden": 5,
                "dropout": 0.2,
            },
        },
        "machine": {
            "dataset": {"name": "moons", "size": 60, "unit_range": True},
            "model": {"name": "rbm", "hidden": 3, "k": 2},
            "loss": {"name": "squared_error"},
        },
        "exact machine": {
            "dataset": {"name": "moons", "size": 60, "unit_range": True},
            "model": {"name": "rbm", "hidden": 3, "learning": "exact"},
            "loss": {"name": "squared_error"},
        },
    }
    models["linear"] = {"model": {"name": "linear"}, "loss": {"name": "squared_error"}}
    found |= {f"model {name}": {**case} for name, case in models.items()}
    for schedule in registry.names("schedule"):
        fields = {"tau": 6, "steps": 4, "every": 3, "half_life": 3}
        known = {one.name for one in registry.get("schedule", schedule).fields()}
        its = {name: value for name, value in fields.items() if name in known}
        found[f"schedule {schedule}"] = {"schedule": {"name": schedule, **its}}
    found["schedule plateau"]["schedule"] |= {"patience": 0, "improvement": 0.9}
    found["schedule plateau"]["measures"] = {"evaluate_every": 2}
    for number, pieces in enumerate(PIECES):
        found[f"pieces {number}"] = {"schedule": {"name": "pieces", "pieces": pieces}}
    found["numbers that follow pieces"] = {
        "optimizer": {"name": "nesterov"},
        "clipping": {"name": "norm", "threshold": 0.2},
        "averaging": {"name": "exponential", "decay": 0.5},
        "loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.01},
        "schedules": {
            "optimizer.momentum": "nesterov",
            "clipping.threshold": "linear to 1 in 8",
            "averaging.decay": "linear to 0.9 in 1 epochs",
            "loss.l2": "cosine to 0 in 6",
            "loss.l1": "hold 3; from 0",
        },
    }
    found["momentum of torch that follows pieces"] = {
        "optimizer": {"name": "momentum"},
        "schedules": {"optimizer.momentum": "linear to 50% in 9"},
    }
    found["a decay of adam that follows pieces"] = {
        "optimizer": {"name": "adam"},
        "schedules": {"optimizer.beta2": "linear to 0.5 in 9"},
    }
    found["muon that follows pieces"] = {
        "optimizer": {"name": "torch.muon", "rest_rate": 0.3, "output_by_muon": True},
        "model": {"name": "mlp", "hidden": [5, 5], "batch_norm": True},
        "schedule": {"name": "linear_decay", "tau": 6},
        "schedules": {
            "optimizer.momentum": "linear to 50% in 9",
            "optimizer.rest_rate": "linear to 1 in 5",
            "optimizer.weight_decay": "linear to 0 in 9",
        },
    }
    found["helpers of the same name"] = {
        "optimizer": {"name": "schedule_free_sgd", "lr": 0.02},
        "schedule": {"name": "one_cycle", "tau": 9},
        "loss": {"name": "squared_error", "l2": 0.1},
        "dataset": {"name": "least_squares", "size": 60},
        "averaging": {"name": "polyak"},
    }
    found["norm"] = {"clipping": {"name": "norm", "threshold": 0.1}}
    found["value"] = {"clipping": {"name": "value", "threshold": 0.02}}
    found["mean"] = {"averaging": {"name": "polyak", "begin": 4}}
    found["decay"] = {"loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.05}}
    found["early"] = {
        "optimizer": {"name": "sgd", "lr": 3.0},
        "budget": {"steps": 60},
        "stopping": {"name": "early", "patience": 2},
    }
    found["early regression"] = {
        "dataset": {"name": "diabetes"},
        "batches": {"size": 100},
        "loss": {"name": "squared_error"},
        "optimizer": {"name": "sgd", "lr": 0.02},
        "stopping": {"name": "early", "patience": 1, "improvement": 0.05, "restore_best": False},
        "budget": {"steps": 60},
    }
    found["target"] = {"stopping": {"name": "target", "error": 0.3}, "budget": {"steps": 60}}
    found["small gradient"] = {
        "stopping": {"name": "gradient_norm", "bound": 0.3},
        "budget": {"steps": 60},
        "loss": {"name": "cross_entropy", "l2": 0.01},
    }
    for order in registry.names("batches"):
        found[f"order {order}"] = {"batches": {"name": order, "size": 8}}
    for first in ("random", "hard"):
        found[f"order curriculum {first}"] = {
            "batches": {"name": "curriculum", "first": first, "size": 8}
        }
    found["old gradients"] = {
        "optimizer": {"name": "nesterov"},
        "delay": {"name": "fixed", "steps": 2},
    }
    found["gradients of random age"] = {"delay": {"name": "random", "steps": 3}}
    found["blurred"] = {
        "optimizer": {"name": "nesterov"},
        "model": {"name": "mlp", "hidden": [4, 3], "batch_norm": True},
        "continuation": {"name": "blur", "stages": 2, "length": 3, "samples": 2},
    }
    found["pretrained"] = {
        "pretraining": {"name": "supervised"},
        "initializer": {"name": "orthogonal"},
    }
    found["the best of several starts"] = {
        "initializer": {"name": "normalized", "tries": 3, "output_bias": "marginal"}
    }
    found["single precision"] = {"precision": "float32", "optimizer": {"name": "adam"}}
    return found


PIECES = (
    "from 0%; linear to 100% in 3; cosine to 1% in 7",
    "hold 2; inverse 3",
    "hold 2; inverse root 3",
    "exponential to 10% in 5; polynomial 2 to 1% in 4",
    "repeat 2 times longer 1.5 (from 100%; cosine to 0% in 3); from 5%",
    "linear to 2 in 3; repeat (linear to 10% in 2; from 1)",
    "from 50%; linear to 100% in 1 epochs",
)
CASES = cases()


def experiment(case: Mapping[str, Any]) -> Experiment:
    return Experiment.from_dict({**BASE, **case})


def trained(given: Experiment) -> tuple[RunEnded, dict[str, Any]]:
    """The end of a run, and its weights by name."""
    weights = None
    for event in session([given], Inbox()):
        if isinstance(event, SnapshotTaken):
            weights = event.snapshot.theta
        elif isinstance(event, RunEnded):
            end = event
    layout = given.layout()
    parts = np.split(weights, np.cumsum(layout.sizes)[:-1])
    return end, {one.name: part for one, part in zip(layout.parameters, parts, strict=True)}


def ended_with(runner: str, folder: Path) -> dict[str, Any]:
    """What the scripts in a folder ended with, where OptLab cannot be imported.

    Args:
        runner: a program that executes them and prints one JSON document.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", runner, str(folder)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def compare(
    found: dict[str, Any], end: RunEnded, weights: dict[str, Any], tolerance: float
) -> None:
    """Compare what a script ended with with the end of its run, and all its weights."""
    for tensor, values in weights.items():
        assert np.allclose(found["weights"][tensor], values, rtol=0.0, atol=tolerance), tensor
    compared = [one for one in found["final"] if end.final.get(one) is not None]
    assert {"train_loss", "validation_loss", "test_loss"} <= set(compared)
    for one in compared:
        assert found["final"][one] == pytest.approx(end.final[one], rel=tolerance, abs=tolerance)


@pytest.fixture(scope="module")
def read() -> set[str]:
    """Names of the modules whose source was read for the scripts; see :func:`repeated`."""
    return set()


@pytest.fixture(scope="module")
def repeated(read: set[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Case → what its script ended with."""
    folder = tmp_path_factory.mktemp("scripts")
    source = specialize._source

    def noted(of: Any) -> str:
        read.add(of.__module__)
        return source(of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specialize, "_source", noted)
        for name, case in CASES.items():
            program = script(experiment(case), about=("A test.",))
            np.savez(folder / f"{name}.npz", **program.arrays)  # type: ignore[arg-type]
            (folder / f"{name}.py").write_text(program.text(f"{name}.npz"), encoding="utf-8")
    return ended_with(RUNNER, folder)


def test_that_the_packaged_program_has_every_source_that_scripts_are_written_from(
    repeated: dict[str, Any], read: set[str]
) -> None:
    # By its path: other tests import files of this name.
    parts = runpy.run_path(str(Path(optlab.__file__).parents[1] / "packaging" / "parts.py"))
    packages = tuple(f"{name}." for name in parts["WITH_SOURCE"])
    assert len(read) > 25
    assert {name for name in read if not name.startswith(packages)} == set()


@pytest.mark.parametrize("name", CASES)
def test_that_a_script_ends_where_its_run_ends(name: str, repeated: dict[str, Any]) -> None:
    end, weights = trained(experiment(CASES[name]))
    found = repeated[name]
    tolerance = 1e-6 if "single" in name else 1e-9
    assert found["weights"].keys() == weights.keys()
    compare(found, end, weights, tolerance)


def test_that_averages_and_stops_are_among_the_cases(repeated: dict[str, Any]) -> None:
    assert "averaged_train_loss" in repeated["mean"]["final"]
    assert "averaged_train_loss" in repeated["rule lookahead"]["final"]
    for name in ("early", "early regression"):
        assert (
            "in 2 evaluations" in repeated[name]["printed"]
            or "in 1 evaluations" in repeated[name]["printed"]
        )
    assert "is at most 0.3" in repeated["target"]["printed"]
    assert "is at most 0.3" in repeated["small gradient"]["printed"]
