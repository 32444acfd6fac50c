"""What is found: the table of torch's signatures, a newer torch, and optimizers that packages
register.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers._bridge import discovery, signatures, table
from optlab.cli.app import main
from optlab.core import registry
from optlab.core.errors import InvalidInput, RunFailed
from optlab.experiment import Experiment, pages
from optlab.tasks import doctor
from optlab.training.trainer import Trainer

TOY = '''
import torch

OUTSIDE = 0.25


class Toy(torch.optim.Optimizer):
    """Gradient descent whose steps halve; it counts in its parameters' state, in its groups and in itself."""

    def __init__(self, params, lr=0.5, mixes=(0.5, 2.0), times: float = 1, halved=True, name="toy", foreach=None, hook=None):
        super().__init__(params, dict(lr=lr, mixes=mixes, halved=halved, k=0))
        self.times = times
        self.steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["k"] += 1
            for p in group["params"]:
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                state["sum"] = state.get("sum", torch.zeros_like(p)) + p.grad  # a new tensor each step
                scale = self.times * sum(group["mixes"]) / (group["k"] + self.steps + state["count"])
                with torch.no_grad():
                    p.sub_(state["sum"], alpha=group["lr"] * scale)


class Hoarder(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("past", []).append(p.grad.clone())


class Grower(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))
        self.t = 0

    def step(self, closure=None):
        self.t += 1
        if self.t > 20:
            self.state[self.param_groups[0]["params"][0]]["late"] = torch.ones(1)


class Demanding(torch.optim.Optimizer):
    def __init__(self, params, lr, table):
        super().__init__(params, dict(lr=lr))
'''


Register = Callable[..., None]


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Register]:
    """Makes entry points of the group, as an installed package ``acme`` would."""
    (tmp_path / "acme_toy.py").write_text(TOY, encoding="utf-8")
    (tmp_path / "acme_broken.py").write_text("import acme_no_such_module\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    real = importlib.metadata.entry_points

    def put(**points: str) -> None:
        made = [
            importlib.metadata.EntryPoint(name.replace("__", "."), value, discovery.ENTRY_POINTS)
            for name, value in points.items()
        ]

        def fake(**asked: Any) -> Any:
            return (
                importlib.metadata.EntryPoints(made)
                if asked.get("group") == discovery.ENTRY_POINTS
                else real(**asked)
            )

        monkeypatch.setattr(importlib.metadata, "entry_points", fake)
        registry.rescan()

    yield put
    monkeypatch.undo()
    registry.rescan()
    for name in ("acme_toy", "acme_broken"):
        sys.modules.pop(name, None)


def experiment(name: str, **fields: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 100},
            "model": {"name": "mlp", "hidden": [4]},
            "optimizer": {"name": name, **fields},
            "batches": {"size": 16},
        }
    )


# --- torch's own -------------------------------------------------------------------------------------------------------------------


def test_that_the_table_is_what_the_installed_torch_takes() -> None:
    """Fails when torch changes: run packaging/torch_signatures.py, read the difference, and look at
    fields.py and words.py.
    """
    read = [signatures.read(cls) for cls in discovery.classes_of_torch(torch.optim)]
    assert [(s.cls, s.arguments) for s in table.KNOWN] == [(s.cls, s.arguments) for s in read]


def test_that_a_constructor_is_read_from_source_as_from_the_class() -> None:
    folder = Path(torch.optim.__file__).parent
    for cls in discovery.classes_of_torch(torch.optim):
        files = [
            path
            for path in folder.glob("*.py")
            if f"class {cls.__name__}(Optimizer)" in path.read_text(encoding="utf-8")
        ]
        if files:  # AdamW is an Adam with a constructor of its own
            found = signatures.read_source(
                files[0].read_text(encoding="utf-8"), "torch.optim", cls.__name__
            )
            assert found is not None
            assert [(a.name, a.default) for a in found.arguments] == [
                (a.name, a.default) for a in signatures.read(cls).arguments
            ]


def test_that_an_optimizer_that_only_a_newer_torch_has_is_a_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        discovery, "KNOWN", tuple(s for s in table.KNOWN if s.cls not in ("NAdam", "Muon"))
    )
    rules, _ = discovery.discover()
    by_name = {rule.name: rule for rule in rules}
    assert by_name["torch.nadam"].signature.arguments[0].name == "lr"
    assert [f.name for f in by_name["torch.nadam"].fields()] == [
        "lr",
        "beta1",
        "beta2",
        "eps",
        "weight_decay",
        "momentum_decay",
        "decoupled_weight_decay",
    ]
    assert {"torch.muon", "torch.adam"} <= set(by_name)


def test_that_listing_the_optimizers_of_torch_does_not_import_it() -> None:
    program = "import sys\nfrom optlab.cli.app import main\nassert main(['list', 'optimizers']) == 0\nassert 'torch' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "torch.adamw" in done.stdout and "torch.muon" in done.stdout


def test_that_an_older_torch_without_the_class_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = experiment("torch.muon")
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(
        InvalidInput, match=r"the installed torch .* has no Muon; install a newer torch"
    ):
        Trainer([asked])


def test_that_fields_carry_bounds_and_bundles_are_split() -> None:
    adam = registry.get("optimizer", "torch.adam")
    assert [field.name for field in adam.fields()] == [
        "lr",
        "beta1",
        "beta2",
        "eps",
        "weight_decay",
        "amsgrad",
        "decoupled_weight_decay",
    ]
    assert (
        adam.field("lr").gt == 0.0
        and adam.field("beta2").lt == 1.0
        and adam.field("weight_decay").ge == 0.0
    )
    assert adam.field("amsgrad").kind == "flag" and adam.field("weight_decay").default == 0.0
    assert registry.get("optimizer", "torch.muon").field("adjust_lr_fn").choices == (
        "original",
        "match_rms_adamw",
    )
    assert registry.get("optimizer", "torch.adamw").label == "AdamW (torch)"
    with pytest.raises(
        InvalidInput,
        match=r"optimizer\.beta1 is 1\.0, but it must be a number at least 0 and below 1",
    ):
        experiment("torch.adam", beta1=1.0)


# --- packages ------------------------------------------------------------------------------------------------------------------------


def test_that_a_registered_optimizer_is_everywhere_and_trains(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register(acme__toy="acme_toy:Toy")
    component = registry.get("optimizer", "acme.toy")
    assert component.label == "Toy (acme)" and component.group == "acme_toy"
    kinds = {field.name: (field.kind, field.default) for field in component.fields()}
    assert kinds == {
        "lr": ("number", 0.5),
        "mixe1": ("number", 0.5),
        "mixe2": ("number", 2.0),
        "times": ("number", 1.0),
        "halved": ("flag", True),
    }
    page = pages.page(component)
    assert page.sentence == "The optimizer Toy of acme_toy."
    assert "These arguments keep their defaults: name, hook, foreach." in page.explanation[-1]
    assert main(["show", "acme.toy"]) == 0
    assert "--set optimizer.mixe2=2.0" in capsys.readouterr().out

    asked = experiment("acme.toy", lr=0.25, mixe2=1.0, times=2.0)
    assert Experiment.from_toml(asked.to_toml()) == asked
    trainer = Trainer([asked, asked.with_value("optimizer.lr", 0.125)])
    for _ in range(10):
        trainer.advance()
    snapshots = [trainer.snapshot(run, 0.0, "asked") for run in (0, 1)]
    assert {"*/count", "*/sum", "group.0/k", "self.0/steps"} <= set(snapshots[0].state)
    assert snapshots[0].state["group.0/k"] == snapshots[0].state["self.0/steps"] == 10
    for _ in range(10):
        trainer.advance()
    resumed = Trainer(list(trainer.requested), snapshots)
    alone = Trainer([asked])
    for _ in range(10):
        resumed.advance()
    for _ in range(20):
        alone.advance()
    assert torch.equal(resumed.theta, trainer.theta)
    torch.testing.assert_close(alone.theta[0], trainer.theta[0], rtol=1e-10, atol=1e-12)


def test_that_a_setting_that_is_no_entry_of_the_groups_can_change_on_the_way(
    register: Register,
) -> None:
    register(acme__toy="acme_toy:Toy")
    trainer = Trainer([experiment("acme.toy", times=1.0)])
    other = Trainer([experiment("acme.toy", times=3.0)])
    for _ in range(5):
        trainer.advance()
    trainer.set_value("optimizer.times", 3.0)
    resumed = Trainer([experiment("acme.toy", times=3.0)], [trainer.snapshot(0, 0.0, "asked")])
    trainer.advance()
    resumed.advance()
    other.advance()
    assert torch.equal(trainer.theta, resumed.theta)
    assert not torch.equal(trainer.theta, other.theta)


def test_that_it_is_gone_when_the_package_is() -> None:
    assert "acme.toy" not in registry.names("optimizer")
    with pytest.raises(InvalidInput, match=r"no optimizer is called that"):
        experiment("acme.toy")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "acme_broken:Broken",
            r"acme_broken registers the optimizer acme\.thing, which cannot be used: importing .* "
            r"failed with ModuleNotFoundError: ",
        ),
        ("acme_toy:Missing", "failed with AttributeError"),
        (
            "acme_toy:OUTSIDE",
            r"acme_toy:OUTSIDE is not a class derived from torch\.optim\.Optimizer\.",
        ),
        ("acme_toy:Demanding", "its argument 'table' has no default that a form could show"),
    ],
)
def test_that_a_package_that_cannot_be_used_gives_one_sentence_and_takes_nothing_down(
    register: Register, value: str, reason: str
) -> None:
    register(acme__thing=value, acme__toy="acme_toy:Toy")
    assert {"acme.toy", "adam", "torch.adam"} <= set(registry.names("optimizer"))
    with pytest.raises(InvalidInput, match=reason) as refusal:
        experiment("acme.thing")
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    with pytest.raises(InvalidInput, match=reason):
        pages.find("acme.thing")
    (finding,) = [finding for finding in doctor.examine() if finding.part == "extension"]
    assert (
        not finding.good
        and not finding.essential
        and finding.words.startswith("acme.thing: ")
        and finding.advice
    )


@pytest.mark.parametrize("name", ["adam", "torch.adam", "Acme.Toy", "acme", "../x.y", "acme.a b"])
def test_that_a_package_cannot_take_a_name_that_is_not_its_own(
    register: Register, name: str
) -> None:
    before = registry.get("optimizer", "adam"), registry.get("optimizer", "torch.adam").signature  # type: ignore[attr-defined]
    register(**{name.replace(".", "__"): "acme_toy:Toy"})
    assert (
        registry.get("optimizer", "adam"),
        registry.get("optimizer", "torch.adam").signature,
    ) == before  # type: ignore[attr-defined]
    assert (
        f"registers an optimizer under the invalid name '{name}'"
        in registry.refused("optimizer")["acme_toy:Toy"]
    )


@pytest.mark.parametrize("name", ["acme_toy:Toy", "acme_toy.Toy", "torch.optim.Adam", "os.system"])
def test_that_a_file_names_only_what_is_registered_and_nothing_is_imported_for_it(
    register: Register, name: str
) -> None:
    register()
    with pytest.raises(InvalidInput, match="no optimizer is called that"):
        experiment(name)
    assert "acme_toy" not in sys.modules


def test_that_what_cannot_be_kept_in_a_snapshot_is_refused_before_training(
    register: Register,
) -> None:
    register(acme__hoarder="acme_toy:Hoarder")
    with pytest.raises(
        InvalidInput,
        match=r"Hoarder \(acme\) has a state that grows at every step, which cannot be stored in a "
        r"snapshot",
    ):
        Trainer([experiment("acme.hoarder")])


def test_that_memory_that_appears_later_stops_the_run_in_words(register: Register) -> None:
    register(acme__grower="acme_toy:Grower")
    trainer = Trainer([experiment("acme.grower")])
    for _ in range(20):
        trainer.advance()
    with pytest.raises(RunFailed, match="added 'late' to its state during a run"):
        trainer.advance()


ODD = """
import torch


class Named(type):
    @property
    def __signature__(cls):
        raise RuntimeError("no signature here")


class Base(torch.optim.Optimizer):
    def step(self, closure=None):
        pass


class NotANumber(Base):
    def __init__(self, params, lr=float("nan")):
        super().__init__(params, dict(lr=lr))


class Enormous(Base):
    def __init__(self, params, lr=10**400):
        super().__init__(params, dict(lr=0.1))


class Demanding(Base):
    def __init__(self, params, lr, table):
        super().__init__(params, dict(lr=lr))


class Nameless(Base, metaclass=Named):
    pass


class Stepless(torch.optim.Optimizer):
    step = 3


class Sound(Base):
    def __init__(self, params, lr=0.1, rates=[0.1, 0.2], hook={}, past=-1.0):
        super().__init__(params, dict(lr=lr))
"""
ODDITIES = {
    "acme_odd:NotANumber": "the default of its argument 'lr' is nan",
    "acme_odd:Enormous": "failed with OverflowError",
    "acme_odd:Demanding": "its argument 'table' has no default",
    "acme_odd:Nameless": "RuntimeError: no signature here",
    "acme_odd:Stepless": "acme_odd:Stepless",
    "acme_odd:Missing": "failed with AttributeError",
    "acme_odd": "is not a class derived from",
    "acme_none:Missing": "failed with ModuleNotFoundError",
    "acme_exits:Any": "failed with SystemExit: 3",
    "acme_raises:Any": "failed with KeyError",
    "acme_syntax:Any": "failed with SyntaxError",
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sources = {
        "acme_odd": ODD,
        "acme_exits": "import sys\nprint('bye')\nsys.exit(3)\n",
        "acme_raises": "{}['nothing']\n",
        "acme_syntax": "def broken(:\n",
    }
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in sources:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("value", ODDITIES)
def test_that_an_odd_optimizer_is_listed_with_what_is_wrong_and_all_others_are_listed(
    register: Register, odd: None, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    register(acme__odd=value, acme__sound="acme_odd:Sound")
    assert main(["list", "optimizers"]) == 0
    out, err = capsys.readouterr()
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert {"sgd", "lbfgs", "torch.adam", "acme.sound", "acme.odd"} <= set(lines)
    assert "not available: " in lines["acme.odd"] and ODDITIES[value] in lines["acme.odd"]
    assert "not available" not in lines["acme.sound"] and "Traceback" not in err
    assert main(["show", "acme.sound"]) == 0
    capsys.readouterr()
    assert main(["list", "optimizers", "--json"]) == 0
    documents = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert ODDITIES[value] in documents["acme.odd"]["problem"]
    assert documents["acme.sound"]["problem"] == "" and documents["acme.sound"]["fields"]
    assert main(["run", "iris-softmax", "--set", "optimizer.name=acme.odd"]) == 2
    assert ODDITIES[value].split(" ")[0] in capsys.readouterr().err


def test_that_a_class_may_be_registered_twice_and_a_name_only_once(
    register: Register, odd: None, capsys: pytest.CaptureFixture[str]
) -> None:
    register(acme__one="acme_odd:Sound", acme__two="acme_odd:Sound")
    assert {"acme.one", "acme.two"} <= set(registry.names("optimizer"))
    assert not [name for name in registry.refused("optimizer") if name.startswith("acme")]
