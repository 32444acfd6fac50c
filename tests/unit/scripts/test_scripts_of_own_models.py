"""Scripts of runs of the user's own modules repeat them where OptLab cannot be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.scripts.writing import script
from tests.unit.scripts.test_scripts import BASE, compare, ended_with, trained

RUNNER = """
import contextlib, io, json, pathlib, sys
sys.modules["optlab"] = None  # importing it fails
import numpy, torch
results = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/repeats.py")):
    space = {"__name__": "__main__", "__file__": str(path)}
    torch.set_default_dtype(torch.float32)
    before, sys.path[:0] = (set(sys.modules), list(sys.path)), [str(path.parent)]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(path.read_text(encoding="utf-8"), path.parent.name, "exec"), space)
    weights = {n: p.detach().flatten().tolist() for n, p in space["model"].named_parameters()}
    results[path.parent.name] = {
        "final": space["final"], "weights": weights, "printed": printed.getvalue()
    }
    for name in set(sys.modules) - before[0]:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(path.parent)):
            del sys.modules[name]
    sys.path[:] = before[1]
print(json.dumps(results))
"""
HEAD = "import torch\nfrom torch import nn\n\n\n"
NORMALIZED = """
class Net(nn.Module):
    def __init__(self, inputs, outputs, hidden=6, share=0.3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(share)
        )
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.last(self.body(x))
"""
FROZEN = """
class Parts(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, 7).requires_grad_(False)
        self.temperature = nn.Parameter(torch.tensor(0.8))
        self.forgotten = nn.Linear(3, 2)
        self.last = nn.Linear(7, outputs)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x))) * self.temperature
"""
DRAWN = """
import random
import numpy as np

class Fourier(nn.Module):
    def __init__(self, inputs, outputs, width=5):
        super().__init__()
        self.frequencies = torch.randn(inputs, width)
        self.register_buffer("phases", torch.rand(width), persistent=False)
        self.factor = random.uniform(0.5, 1.5) + np.random.rand()
        self.last = nn.Linear(width, outputs)

    def forward(self, x):
        noise = torch.randn(len(x), 1) if self.training else 0.0
        waves = torch.sin(self.factor * x @ self.frequencies.to(x) + self.phases)
        return self.last(waves + 0.1 * noise)
"""
BESIDE = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from blocks.residual import Residual
import numbers_of_mine

class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        self.block = Residual(input_shape[0])
        self.last = nn.Linear(input_shape[0], outputs)

    def forward(self, x):
        return self.last(numbers_of_mine.FACTOR * self.block(x))

if __name__ == "__main__":
    raise SystemExit("it was started, not imported")
"""
FILES = {
    "blocks/__init__.py": "",
    "blocks/residual.py": HEAD
    + "class Residual(nn.Module):\n    def __init__(self, n):\n        super().__init__()\n"
    "        self.inner = nn.Linear(n, n)\n\n"
    "    def forward(self, x):\n        return x + torch.relu(self.inner(x))\n",
    "numbers_of_mine.py": "FACTOR = 1.5\n",
}
FLAT = """
class Flat(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.last = nn.Linear(inputs, outputs)

    def forward(self, x):
        assert x.dim() == 2
        return self.last(x)
"""
PIXELS = """
class Pixels(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2)
        )
        self.last = nn.Linear(72, outputs)

    def forward(self, x):
        return self.last(self.body(x.unsqueeze(1)))
"""
SEVERAL = """
class Net(nn.Module):
    inputs = {"numbers": "age, income", "place": "city"}

    def __init__(self, inputs, codes, outputs, width=3):
        super().__init__()
        self.table = nn.Embedding(codes["place"][0], width)
        self.last = nn.Linear(inputs["numbers"] + width, outputs)

    def forward(self, numbers, *, place):
        return self.last(torch.cat([numbers, self.table(place[:, 0])], dim=-1))
"""
SHADOWING = NORMALIZED.replace("class Net", "class Module")
IMAGES = {"dataset": {"name": "digits"}, "batches": {"size": 200}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "normalized": (NORMALIZED, {"model": {"hidden": 5, "share": 0.4}}),
    "normalized with adam": (NORMALIZED, {"optimizer": {"name": "adam"}}),
    "normalized with nesterov": (
        NORMALIZED,
        {
            "optimizer": {"name": "nesterov"},
            "loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.02},
            "clipping": {"name": "norm", "threshold": 0.2},
            "averaging": {"name": "polyak", "begin": 3},
            "schedule": {"name": "linear_decay", "tau": 6},
        },
    ),
    "early": (
        NORMALIZED,
        {
            "optimizer": {"name": "sgd", "lr": 3.0},
            "budget": {"steps": 90},
            "stopping": {"name": "early", "patience": 2},
        },
    ),
    "small gradient": (
        NORMALIZED,
        {
            "stopping": {"name": "gradient_norm", "bound": 0.8},
            "budget": {"steps": 90},
            "loss": {"name": "cross_entropy", "l2": 0.01},
        },
    ),
    "frozen": (FROZEN, {}),
    "frozen with a rule of ours": (FROZEN, {"optimizer": {"name": "adan"}}),
    "frozen and decayed": (
        FROZEN,
        {"loss": {"name": "cross_entropy", "l2": 0.1}, "clipping": {"name": "value"}},
    ),
    "frozen and blurred": (
        FROZEN,
        {"continuation": {"name": "blur", "stages": 2, "length": 3, "samples": 2}},
    ),
    "drawn": (DRAWN, {}),
    "drawn and blurred": (
        DRAWN,
        {"continuation": {"name": "blur", "stages": 2, "length": 3, "samples": 2}},
    ),
    "drawn weights": (DRAWN, {"initializer": {"name": "orthogonal"}}),
    "beside": (BESIDE, {"model": {}}),
    "flat": (FLAT, {**IMAGES}),
    "pixels": (PIXELS, {**IMAGES, "optimizer": {"name": "momentum"}}),
    "several": (SEVERAL, {"optimizer": {"name": "rmsprop"}}),
    "old gradients": (NORMALIZED, {"delay": {"name": "fixed", "steps": 2}}),
    "a name that would hide torch": (SHADOWING, {}),
    "single precision": (NORMALIZED, {"precision": "float32"}),
}
NAMES = {"a name that would hide torch": "torch.py", "beside": "2-nets.py"}
"""Case → name of the user's file."""


def given(name: str, folder: Path) -> Experiment:
    """The experiment of a case, whose model is registered from a file in the folder."""
    source, changes = CASES[name]
    path = folder / NAMES.get(name, "my_net.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + source, encoding="utf-8")
    for other, content in FILES.items() if source == BESIDE else ():
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_text(content, encoding="utf-8")
    own = f"net_{list(CASES).index(name)}"
    register(sources.find(str(path)), own)
    if source == SEVERAL:
        changes = {
            **changes,
            "dataset": {"name": "csv_file", "path": str(_table(folder)), "columns": ["city=code"]},
        }
    model = {"name": f"own.{own}", **changes.get("model", {})}
    return Experiment.from_dict({**BASE, **changes, "model": model})


def _table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["age,city,income,bought"]
    for _ in range(60):
        age, income, city = rng.normal(), rng.normal(), rng.choice(["Ulm", "Bonn", "Kiel"])
        lines.append(f"{age:.4f},{city},{income:.4f},{'yes' if age + income > 0 else 'no'}")
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def experiments(home: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Experiment]:
    """Case → its experiment."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTLAB_HOME", home)
        return {name: given(name, folder / str(n)) for n, name in enumerate(CASES)}


@pytest.fixture(scope="module")
def texts(home: str, experiments: dict[str, Experiment]) -> dict[str, Any]:
    """Case → its script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTLAB_HOME", home)
        return {name: script(one) for name, one in experiments.items()}


@pytest.fixture(scope="module")
def repeated(programs: Path) -> dict[str, Any]:
    """Case → what its script ended with."""
    return ended_with(RUNNER, programs)


@pytest.mark.parametrize("name", CASES)
def test_that_a_script_of_an_own_model_ends_where_its_run_ends(
    name: str,
    home: str,
    experiments: dict[str, Experiment],
    repeated: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", home)
    found = repeated[name]
    end, weights = trained(experiments[name])
    tolerance = 1e-6 if "single" in name else 1e-9
    assert weights.keys() <= found["weights"].keys()
    compare(found, end, weights, tolerance)


def test_that_rules_that_stop_have_stopped(repeated: dict[str, Any]) -> None:
    assert "in 2 evaluations" in repeated["early"]["printed"]
    assert "is at most 0.8" in repeated["small gradient"]["printed"]


def test_that_a_script_takes_along_what_its_model_imports_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    experiment = given("beside", folder)
    (folder / "unused.py").write_text("raise SystemExit\n", encoding="utf-8")
    program = script(experiment)
    assert set(program.files) == {*FILES, "own_2_nets.py"}
    assert program.files["own_2_nets.py"] == (folder / "2-nets.py").read_bytes()


def test_that_a_copy_hides_no_other_module(tmp_path: Path) -> None:
    program = script(given("a name that would hide torch", tmp_path))
    assert set(program.files) == {"own_torch.py"}


def test_that_a_model_of_a_package_is_imported_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "nets_of_others"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(HEAD + FLAT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(package.parent))
    register(sources.find("nets_of_others:Flat"), "flat")
    experiment = Experiment.from_dict({**BASE, "model": {"name": "own.flat"}})
    program = script(experiment)
    assert not program.files and program.packages == {"nets_of_others": "the model"}
    assert "\nfrom nets_of_others import Flat as Net\n" in program.text("data.npz")


def test_that_a_blur_over_changing_buffers_is_refused(tmp_path: Path) -> None:
    experiment = given("normalized", tmp_path)
    with pytest.raises(InvalidInput, match="changes buffers in each pass") as error:
        script(experiment.with_values({"continuation.name": "blur"}))
    assert error.value.field == "continuation.name"
