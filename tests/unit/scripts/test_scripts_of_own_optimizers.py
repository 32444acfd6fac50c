"""Scripts of runs of the user's own optimizers repeat them where OptLab cannot be imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from optlab.catalogue.optimizers._bridge import own
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.registering import register
from optlab.scripts.writing import script
from tests.unit.catalogue.optimizers.bridge.test_own_optimizers import HEAD, KINDS, source
from tests.unit.scripts import test_scripts_of_own_models as models
from tests.unit.scripts.test_scripts import BASE, compare, ended_with, trained
from tests.unit.scripts.test_scripts import CASES as CASES_OF_MODELS

CLOSED = HEAD + KINDS["modes"].removeprefix(HEAD).replace(
    "def step(self, closure=None):",
    "def step(self, closure):\n        torch.enable_grad()(closure)()",
)
"""With modes, and a closure that is evaluated at the point of training."""
KEPT = source(
    """noise = torch.randn(p.shape, generator=self.held["own"][0], dtype=p.dtype)
                other = torch.as_tensor(self.arrays.standard_normal(p.shape)).to(p)
                p.sub_(lr * (p.grad + 0.01 * noise + 0.01 * other))""",
    made="self.held, self.arrays = {'own': [torch.Generator()]}, np.random.default_rng(3)",
).replace("import torch\n", "import numpy as np\nimport torch\n")
MATRICES = (
    HEAD
    + '''
class Rule(Optimizer):
    """Matrices by the direction of their gradients, everything else by gradient descent."""

    def __init__(self, groups, lr=0.05, beta=0.9):
        for group in groups:
            assert "use_muon" in group
        super().__init__(groups, dict(lr=lr, beta=beta))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(group["beta"]).add_(p.grad)
                p.sub_(m / (m.norm() + 1e-3) if group["use_muon"] else m, alpha=group["lr"])
'''
)
BETAS = source(
    """m = state.setdefault("m", torch.zeros_like(p))
                m.mul_(group["betas"][0]).add_(p.grad, alpha=group["betas"][1])
                p.sub_(m, alpha=lr)""",
    arguments=", betas=(0.9, 0.3)",
).replace("dict(lr=lr)", "dict(lr=lr, betas=betas)")
IN_ORDER = source(
    """p.sub_(lr * (p.grad + 0.1 * self.last))
                self.last = p.grad.mean().item()""",
    made="self.last = 0.0",
)
"""A tensor's step depends on the tensor before it."""
SEARCH_AND_DRAW = (
    KINDS["search"]
    .replace("loss = closure()", "loss = closure() + 0.0 * torch.rand(())")
    .replace('rate = group["lr"]', 'rate = group["lr"] * (0.5 + torch.rand(()).item())')
)
BESIDE = (
    HEAD
    + """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from steps.plain import descend


class Rule(Optimizer):
    def __init__(self, params, lr=0.05):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                descend(p, group["lr"])
"""
)
FILES = {
    "steps/__init__.py": "",
    "steps/plain.py": "def descend(p, lr):\n    p.sub_(p.grad, alpha=lr)\n",
}
STRATEGIES: dict[str, Any] = {
    "loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.02},
    "clipping": {"name": "norm", "threshold": 0.2},
    "averaging": {"name": "polyak", "begin": 3},
    "schedule": {"name": "linear_decay", "tau": 6},
}
EARLY = {"stopping": {"name": "early", "patience": 2}, "budget": {"steps": 90}}
DECAYED = {"loss": {"name": "cross_entropy", "l2": 0.1, "l1": 0.02}}
BRANCHED = {
    "model": {
        "name": "mlp",
        "hidden": [5, 5],
        "batch_norm": True,
        "skip": True,
        "auxiliary": 0.3,
    }
}
HALVED = {"schedule": {"name": "pieces", "pieces": "linear to 50% in 9"}}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    **{kind: (text, {}, "") for kind, text in KINDS.items()},
    "modes and strategies": (KINDS["modes"], STRATEGIES, ""),
    "modes that stop early": (KINDS["modes"], {**EARLY, "optimizer": {"lr": 3.0}}, ""),
    "modes and a gradient that is small": (
        KINDS["modes"],
        {"stopping": {"name": "gradient_norm", "bound": 0.3}, "budget": {"steps": 90}},
        "",
    ),
    "modes with a closure": (CLOSED, {}, models.NORMALIZED),
    "strategies": (KINDS["nested"], {**STRATEGIES, "optimizer": {"lr": 0.02}}, ""),
    "old gradients": (KINDS["numbers"], {"delay": {"name": "fixed", "steps": 2}}, ""),
    "blurred": (
        KINDS["numbers"],
        {"continuation": {"name": "blur", "stages": 2, "length": 3, "samples": 2}},
        "",
    ),
    "a search with decay": (KINDS["search"], {**DECAYED, **HALVED}, ""),
    "a search that stops": (KINDS["search"], EARLY, ""),
    "a search with heads": (KINDS["search"], BRANCHED, ""),
    "sharpness with dropout": (
        KINDS["two_steps"],
        {"model": {"name": "mlp", "hidden": [5], "dropout": 0.4}},
        "",
    ),
    "sharpness of an own model": (KINDS["two_steps"], {}, models.NORMALIZED),
    "sharpness of an own model with unused weights": (KINDS["two_steps"], {}, models.FROZEN),
    "a wrapped optimizer of choice": (
        KINDS["lookahead"],
        {"optimizer": {"inner": "adam", "k": 3}, **HALVED},
        "",
    ),
    "a search that draws as the model does": (SEARCH_AND_DRAW, {}, models.DRAWN),
    "an own model": (KINDS["numbers"], {}, models.NORMALIZED),
    "an own model that draws": (KINDS["draws"], {}, models.DRAWN),
    "held generators": (KEPT, {}, ""),
    "matrices": (MATRICES, HALVED, ""),
    "matrices of an own model": (MATRICES, {}, models.FROZEN),
    "betas that follow pieces": (
        BETAS,
        {"schedules": {"optimizer.beta2": "linear to 0.6 in 7"}, **HALVED},
        "",
    ),
    "own rate with a schedule": (KINDS["own_rate"], HALVED, ""),
    "in order": (IN_ORDER, BRANCHED, ""),
    "beside": (BESIDE, {}, ""),
    "beside an own model with files": (BESIDE, {}, models.BESIDE),
    **{
        name: (KINDS["search"], CASES_OF_MODELS[name], "")
        for name in CASES_OF_MODELS
        if name.startswith("model ") and "machine" not in name
    },
    "single precision": (KINDS["modes"], {"precision": "float32", **STRATEGIES}, ""),
}


def given(name: str, folder: Path) -> Experiment:
    """The experiment of a case, whose optimizer is registered from a file in the folder."""
    text, changes, model = CASES[name]
    number = list(CASES).index(name)
    path = folder / "my_rules.py"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    files = {
        **(FILES if text == BESIDE else {}),
        **(models.FILES if model == models.BESIDE else {}),
    }
    for other, content in files.items():
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_text(content, encoding="utf-8")
    own.register(sources.find(str(path), kind=records.OPTIMIZER), f"rule_{number}")
    if model:
        net = folder / "my_net.py"
        net.write_text(models.HEAD + model, encoding="utf-8")
        register(sources.find(str(net)), f"net_{number}")
        changes = {**changes, "model": {"name": f"own.net_{number}"}}
    optimizer = {"name": f"own.rule_{number}", **changes.get("optimizer", {})}
    return Experiment.from_dict({**BASE, **changes, "optimizer": optimizer})


@pytest.fixture(scope="module")
def experiments(home: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Experiment]:
    """Case → its experiment."""
    folder = tmp_path_factory.mktemp("optimizers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTLAB_HOME", home)
        patch.setattr(sys, "path", list(sys.path))  # some of the files add their folder
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
    return ended_with(models.RUNNER, programs)


@pytest.mark.parametrize("name", CASES)
def test_that_a_script_of_an_own_optimizer_ends_where_its_run_ends(
    name: str,
    home: str,
    experiments: dict[str, Experiment],
    repeated: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", home)
    end, weights = trained(experiments[name])
    found = repeated[name]
    assert weights.keys() <= found["weights"].keys()
    compare(found, end, weights, 1e-6 if "single" in name else 1e-9)


def test_that_rules_that_stop_have_stopped(repeated: dict[str, Any]) -> None:
    assert "in 2 evaluations" in repeated["modes that stop early"]["printed"]
    assert "in 2 evaluations" in repeated["a search that stops"]["printed"]
    assert "is at most 0.3" in repeated["modes and a gradient that is small"]["printed"]


# --- what a script imports, and what it refuses ---------------------------------------------------


def registered(path: Path, text: str, name: str = "rule") -> None:
    """Write a file, and register the optimizer in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    own.register(sources.find(str(path), kind=records.OPTIMIZER), name)


def asked(**changes: Any) -> Experiment:
    """The experiment of the optimizer that is registered as ``rule``."""
    return Experiment.from_dict({**BASE, "optimizer": {"name": "own.rule"}, **changes})


def test_that_a_plain_optimizer_makes_a_plain_script(tmp_path: Path) -> None:
    text = source("p.sub_(p.grad, alpha=lr)").replace("import collections, random\n", "")
    registered(tmp_path / "plain.py", text)
    program = script(asked(precision="float32"))
    assert set(program.files) == {"plain.py"} and not program.packages
    made = "from plain import Rule\n\noptimizer = Rule(parameters, lr=0.05)\n"
    assert made in program.text("data.npz")
    assert "seed_draws" not in program.text("data.npz")


@pytest.mark.parametrize("word", ["import random", "x = torch.rand", "from mine import draw"])
def test_that_what_may_draw_is_seeded(tmp_path: Path, word: str) -> None:
    text = source("p.sub_(p.grad, alpha=lr)").replace("import collections, random\n", "")
    (tmp_path / "mine.py").write_text("from sklearn import utils as draw\n", encoding="utf-8")
    registered(tmp_path / "plain.py", f"{text}\n\ndef unused():\n    {word}\n")
    assert "seed_draws(step + 1)" in script(asked()).text("data.npz")


def test_that_a_model_and_an_optimizer_of_one_file_are_imported_from_one_copy(
    tmp_path: Path,
) -> None:
    text = source("p.sub_(p.grad, alpha=lr)") + models.HEAD + models.FLAT
    registered(tmp_path / "mine.py", text)
    register(sources.find(f"{tmp_path / 'mine.py'}:Flat"), "flat")
    program = script(asked(model={"name": "own.flat"}))
    assert set(program.files) == {"mine.py"}
    written = program.text("data.npz")
    assert "from mine import Rule" in written and "from mine import Flat as Net" in written


def test_that_two_files_of_one_name_are_both_there(tmp_path: Path) -> None:
    registered(tmp_path / "rules" / "mine.py", source("p.sub_(p.grad, alpha=lr)"))
    net = tmp_path / "nets" / "mine.py"
    net.parent.mkdir()
    net.write_text(models.HEAD + models.FLAT, encoding="utf-8")
    register(sources.find(str(net)), "flat")
    program = script(asked(model={"name": "own.flat"}))
    assert set(program.files) == {"mine.py", "mine_.py"}
    assert "from mine_ import Rule" in program.text("data.npz")


def test_that_two_files_that_cannot_both_be_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder, content in (("rules", "A = 1\n"), ("nets", "A = 2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared.py").write_text(content, encoding="utf-8")
    here = "os.path.dirname(os.path.abspath(__file__))"
    imports = f"\nimport os, sys\nsys.path.insert(0, {here})\nfrom shared import A\n"
    registered(tmp_path / "rules" / "rule.py", source("p.sub_(p.grad, alpha=lr)") + imports)
    net = tmp_path / "nets" / "net.py"
    net.write_text(models.HEAD + models.FLAT + imports, encoding="utf-8")
    register(sources.find(str(net)), "flat")
    with pytest.raises(InvalidInput, match=r"import different files shared\.py") as refusal:
        script(asked(model={"name": "own.flat"}))
    assert str(refusal.value).count(".") == 2


def test_that_a_schedule_that_no_group_has_is_refused(tmp_path: Path) -> None:
    text = source("p.sub_(p.grad, alpha=self.own)", made="self.own = own", arguments=", own=0.1")
    registered(tmp_path / "rule.py", text)
    with pytest.raises(InvalidInput, match="keeps 'own' elsewhere than in its parameter groups"):
        script(asked(schedules={"optimizer.own": "linear to 50% in 5"}))
    script(asked())


def test_that_a_generator_that_a_script_cannot_name_is_refused(tmp_path: Path) -> None:
    text = source(
        "p.sub_(lr * (p.grad + 0.01 * self.kept[(1, 2)].random()))",
        made="self.kept = {(1, 2): random.Random(0)}",
    )
    registered(tmp_path / "rule.py", text)
    with pytest.raises(InvalidInput, match="a random generator where a script does not find it"):
        script(asked())


def test_that_an_optimizer_of_a_package_is_imported_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "rules_of_others"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "plain.py").write_text(source("p.sub_(p.grad, alpha=lr)"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(package.parent))
    own.register(sources.find("rules_of_others.plain:Rule", kind=records.OPTIMIZER), "rule")
    program = script(asked())
    assert not program.files and program.packages == {"rules_of_others": "the optimizer"}
    assert "\nfrom rules_of_others.plain import Rule\n" in program.text("data.npz")
