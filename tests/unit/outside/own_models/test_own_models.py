"""Models of the user's own: what is registered trains as the same module does in torch, and nothing
else is ever executed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from optlab.catalogue.models.base import EVALUATION, TRAINING, ForwardContext
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput, RunFailed
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.registering import register
from optlab.tasks import doctor
from optlab.training.trainer import Trainer

HEAD = "import torch\nfrom torch import nn\n"
NET = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, inputs, outputs, hidden=7, slope=0.1, gate=True, layers=(5,)):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, outputs)
        self.slope, self.gate = slope, gate
        self.register_buffer("shift", torch.full((hidden,), 0.25))

    def forward(self, x):
        h = nn.functional.leaky_relu(self.norm(self.first(x)) + self.shift, self.slope)
        return self.last(torch.tanh(h) if self.gate else h)
"""
)


def write(folder: Path, source: str, name: str = "net.py") -> Path:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return path


def registered(folder: Path, source: str = NET, name: str = "net") -> Path:
    path = write(folder, source, f"{name}.py")
    register(sources.find(str(path)), name)
    return path


def asked(**changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "seed": 3,
        "device": "cpu",
        "precision": "float64",
        "dataset": {"name": "iris"},
        "model": {"name": "own.net"},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "batches": {"name": "never_shuffled", "size": 120},
        "budget": {"steps": 50},
    }
    return Experiment.from_dict({**tables, **changes})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_that_fifty_steps_are_those_of_torch_on_the_same_module(
    tmp_path: Path, optimizer: str
) -> None:
    path = registered(tmp_path)
    experiment = asked(
        optimizer={"name": optimizer, "lr": 0.02}, batches={"name": "never_shuffled", "size": 64}
    )
    trainer = Trainer([experiment])
    data = experiment.dataset.load()
    x, y = torch.tensor(data.training.x), torch.tensor(data.training.y)
    module = sources.execute(sources.find(str(path)))(inputs=4, outputs=3).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), module.parameters())
    step = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](
        module.parameters(), lr=0.02
    )
    starts = range(0, len(x), 64)
    losses = []
    for number in range(50):
        start = starts[number % len(starts)]
        step.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(x[start : start + 64]), y[start : start + 64]
        )
        loss.backward()
        losses.append(loss.item())
        step.step()
        trainer.advance()
    trainer.sync_divergence()
    reached = torch.nn.utils.parameters_to_vector(module.parameters())
    assert losses[-1] < 0.9 * losses[0]
    torch.testing.assert_close(trainer.theta[0], reached, rtol=1e-10, atol=1e-10)


def test_that_runs_side_by_side_are_those_alone(tmp_path: Path) -> None:
    registered(tmp_path)
    experiments = [asked(seed=seed) for seed in (1, 2, 3)]
    together = Trainer(experiments)
    alone = [Trainer([experiment]) for experiment in experiments]
    for trainer in (together, *alone):
        for _ in range(20):
            trainer.advance()
        trainer.sync_divergence()
    torch.testing.assert_close(
        together.theta, torch.cat([trainer.theta for trainer in alone]), rtol=1e-9, atol=1e-10
    )


BRANCHING = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = nn.Linear(inputs, outputs)

    def forward(self, x):
        z = self.a(x)
        return z if float(z.detach().sum()) > 0 else 2 * z
"""
)


def test_that_a_module_that_vmap_cannot_carry_runs_one_run_after_the_other(tmp_path: Path) -> None:
    registered(tmp_path, BRANCHING)
    model = asked().model
    shape = DataShape((4,), 3, "classes")
    layout = model.layout(shape)
    theta = torch.randn(3, layout.total, dtype=torch.float64)
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    outputs = model.forward(layout.split(theta), x, EVALUATION)
    for run in range(3):
        weight, bias = (part[run] for part in layout.split(theta))
        z = x[run] @ weight.T + bias
        torch.testing.assert_close(outputs[run], z if z.sum() > 0 else 2 * z)


def test_that_a_module_knows_whether_it_is_trained_or_evaluated(tmp_path: Path) -> None:
    registered(tmp_path, net(LINEAR, "return self.a(x) + (1.0 if self.training else 0.0)"))
    model = asked().model
    layout = model.layout(DataShape((4,), 3, "classes"))
    parameters, x = layout.split(torch.randn(2, layout.total)), torch.randn(2, 5, 4)
    for runs in (slice(0, 1), slice(0, 2)):
        here = [part[runs] for part in parameters]
        training, evaluation = (
            model.forward(here, x[runs], context) for context in (TRAINING, EVALUATION)
        )
        torch.testing.assert_close(training, evaluation + 1.0)


def test_that_a_worker_process_trains_a_registered_model_to_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path)
    file = experiment_file(tmp_path, "own.net")
    reached = []
    for runner in ("thread", "process"):
        assert main(["run", str(file), "--no-store", "--json", "--runner", runner]) == 0
        reached.append(json.loads(capsys.readouterr().out)["theta_sha256"])
    assert reached[0] == reached[1]


def test_that_layers_are_traced_and_named_as_their_weights(tmp_path: Path) -> None:
    registered(tmp_path)
    model = asked().model
    layout = model.layout(DataShape((4,), 3, "classes"))
    assert {p.name: p.role for p in layout.parameters} == {
        "first.weight": "weight",
        "first.bias": "bias",
        "norm.weight": "scale",
        "norm.bias": "bias",
        "last.weight": "weight",
        "last.bias": "bias",
    }
    assert [p.name for p in layout.parameters if p.output] == ["last.weight", "last.bias"]
    assert (layout.parameters[0].fan_in, layout.parameters[0].fan_out) == (4, 7)
    seen: dict[str, torch.Tensor] = {}
    theta, x = torch.randn(2, layout.total), torch.randn(2, 5, 4)
    parameters = layout.split(theta)
    outputs = model.forward(parameters, x, ForwardContext(training=True, trace=seen.__setitem__))
    assert list(seen) == ["first", "norm", "last"] and seen["first"].shape == (2, 5, 7)
    torch.testing.assert_close(
        seen["first"], x @ parameters[0].transpose(1, 2) + parameters[1].unsqueeze(1)
    )
    torch.testing.assert_close(seen["last"], outputs)


def test_that_constructor_arguments_are_fields_and_reach_the_module(tmp_path: Path) -> None:
    registered(tmp_path)
    fields = {field.name: field.kind for field in registry.get("model", "own.net").fields()}
    assert fields == {"hidden": "integer", "slope": "number", "gate": "flag", "layers": "sizes"}
    experiment = asked(model={"name": "own.net", "hidden": 11, "layers": [3, 4]})
    assert experiment.layout().parameters[0].shape == (11, 4)
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    with pytest.raises(InvalidInput, match=r"model\.hidden"):
        asked(model={"name": "own.net", "hidden": 1.5})
    with pytest.raises(InvalidInput, match="cannot be built"):
        asked(model={"name": "own.net", "hidden": -4})


def test_that_images_keep_their_shape_where_the_constructor_asks_for_it(tmp_path: Path) -> None:
    registered(
        tmp_path,
        HEAD + "class Net(nn.Module):\n"
        "    def __init__(self, input_shape, outputs):\n"
        "        super().__init__()\n"
        "        self.filter = nn.Conv2d(1, 3, 3)\n"
        "        self.last = nn.Linear(3 * (input_shape[0] - 2) * (input_shape[1] - 2), outputs)\n"
        "    def forward(self, x):\n"
        "        return self.last(torch.relu(self.filter(x.unsqueeze(1))).flatten(1))\n",
    )
    model: Any = registry.build("model", {"name": "own.net"})
    layout = model.layout(DataShape((6, 5), 2, "classes"))
    assert [(p.fan_in, p.fan_out) for p in layout.parameters if p.role == "weight"] == [
        (9, 27),
        (36, 2),
    ]


# --- what is executed, and when ----------------------------------------------------------------------------------------------------

EVIL = (
    HEAD
    + "from pathlib import Path\nPath(__file__).with_name('executed').write_text('x')\n"
    + NET.removeprefix(HEAD)
)


def experiment_file(folder: Path, name: str) -> Path:
    return write(
        folder,
        f'[dataset]\nname = "iris"\n[model]\nname = "{name}"\n[budget]\nsteps = 3\n',
        "experiment.toml",
    )


@pytest.mark.parametrize("named", ["own.evil", "evil", "evil.py:Net", "evil.Net", "{path}"])
def test_that_a_file_that_names_an_unregistered_model_executes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    path = write(tmp_path, EVIL, "evil.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    file = experiment_file(tmp_path, named.format(path=path.as_posix()))
    assert main(["run", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "no model is called that" in err
    assert not (tmp_path / "executed").exists() and "evil" not in sys.modules


def test_that_nothing_is_executed_before_it_is_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, EVIL, "evil.py")
    assert main(["model", "register", str(path)]) == 2
    assert "--yes" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr("optlab.cli.own_text.confirmed", lambda _kind: False)
    assert main(["model", "register", str(path)]) == 1
    assert not (tmp_path / "executed").exists() and records.read() == ()
    monkeypatch.setattr("optlab.cli.own_text.confirmed", lambda _kind: True)
    assert main(["model", "register", str(path), "--name", "evil"]) == 0
    err = capsys.readouterr().err
    assert str(path) in err and sources.find(str(path)).sha256 in err and "Net" in err
    assert (tmp_path / "executed").exists()
    assert [registration.name for registration in records.read()] == ["evil"]


def test_that_a_changed_file_is_refused_until_it_is_confirmed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = registered(tmp_path)
    file = experiment_file(tmp_path, "own.net")
    assert main(["run", str(file), "--no-store"]) == 0
    write(tmp_path, EVIL)
    capsys.readouterr()
    assert main(["run", str(file), "--no-store"]) == 2
    err = capsys.readouterr().err
    assert (
        err.count("\n") == 1
        and "has changed since it was confirmed" in err
        and "optlab model register" in err
    )
    assert not (tmp_path / "executed").exists()
    assert main(["model", "register", str(path), "--name", "net", "--yes"]) == 0
    assert main(["run", str(file), "--no-store"]) == 0


def test_that_a_forgotten_model_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path)
    held = asked()
    assert main(["model", "list", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["name"] == "own.net" and document["class"] == "Net"
    assert main(["model", "forget", "own.net"]) == 0
    assert "own.net" not in registry.names("model")
    with pytest.raises(InvalidInput, match="registered on this machine"):
        held.layout()
    assert main(["model", "forget", "own.net"]) == 2


def test_that_listing_loads_neither_torch_nor_the_users_file(tmp_path: Path) -> None:
    registered(tmp_path, EVIL)
    (tmp_path / "executed").unlink()
    program = (
        "import sys\nfrom optlab.experiment import pages; from optlab.core import registry\n"
        "page = pages.page(registry.get('model', 'own.net'))\n"
        "assert [f.name for f in page.fields] == ['hidden', 'slope', 'gate', 'layers']\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()


def test_that_a_module_of_a_package_is_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ownpack"
    package.mkdir()
    write(
        package,
        "from pathlib import Path\nPath(__file__).with_name('imported').write_text('x')\n",
        "__init__.py",
    )
    write(package, NET, "nets.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    for said in ("ownpack.nets.Net", "ownpack.nets:Net", "ownpack.nets"):
        source = sources.find(said)
        assert (source.origin, source.cls, source.imported) == ("ownpack.nets", "Net", True)
    assert not (package / "imported").exists()
    register(source, "packed")
    assert (package / "imported").exists()
    assert asked(model={"name": "own.packed"}).layout().total > 0
    write(package, NET + "\n# changed\n", "nets.py")
    with pytest.raises(InvalidInput, match="has changed"):
        asked(model={"name": "own.packed"})
    for name in ("ownpack", "ownpack.nets"):
        sys.modules.pop(name, None)


def test_that_damaged_registrations_are_reported_and_take_no_other_model_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path)
    for text in ("format = 1\n[[model]\n", "format = 9\n", "format = 1\nmodel = 3\n", "\x00"):
        records.place().write_text(text, encoding="utf-8")
        assert "mlp" in registry.names("model") and "own.net" not in registry.names("model")
        assert main(["list", "models"]) == 0
        (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("own.")]
        assert "not available: " in line and str(records.place()) in line
        assert main(["model", "list"]) == 1
        err = capsys.readouterr().err
        assert str(records.place()) in err and err.count("\n") == 1


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "no class": (lambda e: {k: v for k, v in e.items() if k != "class"}, "own.bad", "no class"),
    "no name": (lambda e: {k: v for k, v in e.items() if k != "name"}, "own.entry 2", "no name"),
    "a name of the wrong kind": (lambda e: {**e, "name": 3}, "own.entry 2", "wrong kind"),
    "a name that is a path": (lambda e: {**e, "name": "../x"}, "own.entry 2", "wrong kind"),
    "a name in use": (lambda e: {**e, "name": "net"}, "own.entry 2", "used by an earlier entry"),
    "no table": (lambda e: 7, "own.entry 2", "no table"),
    "a checksum that is none": (lambda e: {**e, "sha256": 5}, "own.bad", "wrong kind"),
    "arguments that are no list": (lambda e: {**e, "arguments": "x"}, "own.bad", "no list"),
    "an argument of an unknown kind": (
        lambda e: {**e, "arguments": [{"name": "a", "kind": "odd", "default": 1}]},
        "own.bad",
        "arguments is wrong",
    ),
    "an argument without a default": (
        lambda e: {**e, "arguments": [{"name": "a", "kind": "whole"}]},
        "own.bad",
        "no default",
    ),
    "a default that is not finite": (
        lambda e: {
            **e,
            "arguments": [{"name": "a", "kind": "real", "default": float("inf")}],
        },
        "own.bad",
        "arguments is wrong",
    ),
    "two arguments of one name": (
        lambda e: {**e, "arguments": [{"name": "a", "kind": "whole", "default": 1}] * 2},
        "own.bad",
        "two arguments",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_that_a_damaged_entry_disables_itself_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    spoil, name, reason = DAMAGES[damage]
    registered(tmp_path)
    good = tomllib.loads(records.place().read_text(encoding="utf-8"))["model"][0]
    bad = spoil({**good, "name": "bad"})
    records.place().write_text(tomli_w.dumps({"format": 1, "model": [good, bad]}), encoding="utf-8")
    assert "own.net" in registry.names("model") and name not in registry.names("model")
    assert reason in registry.refused("model")[name]
    for command in (["list", "models"], ["model", "list"]):
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        (line,) = [line for line in lines if line.startswith(name)]
        assert "not available" in line and reason in line
        assert any(line.startswith("own.net ") for line in lines)
    assert main(["model", "list", "--json"]) == 0
    documents = {one["name"]: one["problem"] for one in json.loads(capsys.readouterr().out)}
    assert documents["own.net"] == "" and reason in documents[name]
    with pytest.raises(InvalidInput, match=reason):
        asked(model={"name": name})
    asked(model={"name": "own.net"})
    assert any(reason in finding.words for finding in doctor.examine())
    # What is damaged is kept until it is forgotten or registered again.
    registered(tmp_path, name="other")
    assert reason in registry.refused("model")[name]
    assert main(["model", "forget", name]) == 0
    assert not registry.refused("model") and "own.net" in registry.names("model")


def test_that_a_model_whose_file_is_gone_or_changed_is_listed_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path)
    file = Path(records.get("net").origin)
    text = file.read_text(encoding="utf-8")
    for damage, reason in (
        (lambda: file.write_text("def broken(:", encoding="utf-8"), "has changed since"),
        (file.unlink, "own.net"),
    ):
        damage()
        for command in (["list", "models"], ["model", "list"]):
            assert main(command) == 0
            lines = capsys.readouterr().out.splitlines()
            line = [line for line in lines if line.startswith("own.net")][-1]
            assert "not available" in line and reason in line
            assert command[0] == "model" or any(line.startswith("mlp ") for line in lines)
    file.write_text(text, encoding="utf-8")
    assert main(["list", "models"]) == 0
    assert "not available" not in capsys.readouterr().out


# --- how they start ----------------------------------------------------------------------------

TEMPERATURE = (
    HEAD
    + """
class Temperature(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = nn.Linear(inputs, outputs)
        self.temperature = nn.Parameter(torch.ones(1))
        self.gamma = nn.Parameter(torch.full((outputs,), 0.5))
        self.table = nn.Parameter(torch.tensor([[2.0, 3.0], [4.0, 5.0]]))

    def forward(self, x):
        return self.a(x) / self.temperature * (2.0 * self.gamma) + 0.0 * self.table.sum()
"""
)


def _torch_module(tmp_path: Path) -> Any:
    space: dict[str, Any] = {}
    exec(compile(TEMPERATURE, "temperature", "exec"), space)  # noqa: S102 -- source of this test
    return space["Temperature"](4, 3)


def test_that_a_module_starts_as_its_constructor_builds_it_and_trains_as_in_torch(
    tmp_path: Path,
) -> None:
    registered(tmp_path, TEMPERATURE, "temperature")
    experiment = asked(model={"name": "own.temperature"}, optimizer={"name": "sgd", "lr": 0.1})
    assert experiment.initializer.name == "as_built"
    trainer = Trainer([experiment])
    named = {name: part[0].clone() for name, part in trainer.layout.named(trainer.theta).items()}
    assert named["temperature"].tolist() == [1.0] and named["gamma"].tolist() == [0.5] * 3
    assert named["table"].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    # As torch draws a linear layer of 4 inputs: uniform within 1/sqrt(4), biases too.
    for part in (named["a.weight"], named["a.bias"]):
        assert 0.0 < float(part.abs().max()) <= 0.5 and len(set(part.flatten().tolist())) > 2
        assert torch.equal(part, part.float().double())
    module = _torch_module(tmp_path).double()
    module.load_state_dict(named)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(40):
        x, y = trainer.batch_of(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x[0]), y[0]).backward()
        optimizer.step()
        trainer.advance()
    flat = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    torch.testing.assert_close(trainer.theta[0], flat, rtol=1e-10, atol=1e-12)


def test_that_every_run_is_built_once_with_a_seed_of_its_own(tmp_path: Path) -> None:
    source = TEMPERATURE.replace(
        "torch.ones(1)", "torch.tensor([1.0 + random.random() + numpy.random.rand()])"
    ).replace("import torch\n", "import random, numpy, torch\n", 1)
    registered(tmp_path, source, "temperature")
    seeds = (3, 4, 3)
    experiments = [asked(model={"name": "own.temperature"}, seed=seed) for seed in seeds]
    before = torch.random.get_rng_state()
    together = Trainer(experiments).theta
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])
    for row, experiment in zip(together, experiments, strict=True):
        assert torch.equal(Trainer([experiment]).theta[0], row)
    values = Trainer(experiments).layout.named(together)["temperature"]
    assert values[0] != values[1]


@pytest.mark.parametrize("name", ["normalized", "zero", "orthogonal", "batch_scaled"])
def test_that_an_initializer_sets_matrices_and_biases_and_leaves_the_rest_as_built(
    tmp_path: Path, name: str
) -> None:
    registered(tmp_path, TEMPERATURE, "temperature")
    trainer = Trainer(
        [
            asked(
                model={"name": "own.temperature"},
                initializer={"name": name, "bias": 0.25, "tries": 3},
                seed=seed,
            )
            for seed in (3, 4)
        ]
    )
    named = trainer.layout.named(trainer.theta)
    assert named["temperature"].tolist() == [[1.0], [1.0]]
    assert named["gamma"].unique().tolist() == [0.5]
    assert named["a.bias"].unique().tolist() == [0.25]
    if name == "zero":
        assert not named["a.weight"].any() and not named["table"].any()
    else:
        assert not torch.equal(named["a.weight"][0], named["a.weight"][1])


def test_that_the_initializer_follows_the_model_that_is_chosen(tmp_path: Path) -> None:
    registered(tmp_path, TEMPERATURE, "temperature")
    mine = asked(model={"name": "own.temperature"})
    other = mine.with_value("model.name", "linear")
    assert other.initializer.name == "normalized"
    assert other.with_value("model.name", "own.temperature").initializer.name == "as_built"
    chosen = other.with_value("initializer.name", "he")
    assert chosen.with_value("model.name", "own.temperature").initializer.name == "he"
    changed = other.with_value("initializer.bias", 0.1)
    kept = changed.with_value("model.name", "own.temperature").initializer
    assert (kept.name, kept.bias) == ("normalized", 0.1)  # type: ignore[attr-defined]
    both = {"initializer.name": "orthogonal", "model.name": "own.temperature"}
    assert other.with_values(both).initializer.name == "orthogonal"
    again = Experiment.from_toml(mine.to_toml())
    assert again == mine
    with pytest.raises(InvalidInput, match=r"initializer\.name is 'as_built', which .* use normal"):
        other.with_value("initializer.name", "as_built")


def test_that_the_start_of_a_module_is_tabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(tmp_path, TEMPERATURE, "temperature")
    file = write(tmp_path, asked(model={"name": "own.temperature"}).to_toml(), "e.toml")
    assert main(["start", str(file), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert "as_built" in json.dumps(table)
    assert main(["start", str(file), "--compare", "as_built,he"]) == 0
    assert "as_built" in capsys.readouterr().out
    assert main(["start", "digits-mlp", "--compare", "as_built,he"]) == 2
    assert "initializer.name is 'as_built'" in capsys.readouterr().err
    assert main(["list", "initializers"]) == 0
    assert "as_built" in capsys.readouterr().out
    assert main(["show", "as_built"]) == 0


@pytest.mark.parametrize("raised", ["SystemExit('bye')", "GeneratorExit", "StopIteration(3)"])
def test_that_whatever_a_forward_pass_raises_is_its_own_failure(
    tmp_path: Path, raised: str
) -> None:
    source = TEMPERATURE.replace(
        "    def forward(self, x):\n",
        f"    def forward(self, x):\n        if len(x) > 50:\n            raise {raised}\n",
    )
    registered(tmp_path, source, "temperature")
    trainer = Trainer([asked(model={"name": "own.temperature"})])
    with pytest.raises(RunFailed, match="its forward pass failed with " + raised.partition("(")[0]):
        trainer.advance()


# --- modules that cannot take part -----------------------------------------------------------------------------------------------


def net(init: str, forward: str, signature: str = "self, inputs, outputs") -> str:
    lines = "".join(f"        {line}\n" for line in ["super().__init__()", *init.split("\n")])
    body = "".join(f"        {line}\n" for line in forward.split("\n"))
    return f"{HEAD}class Net(nn.Module):\n    def __init__({signature}):\n{lines}    def forward(self, x):\n{body}"


LINEAR = "self.a = nn.Linear(inputs, outputs)"
UNFIT: dict[str, tuple[str, str]] = {
    "batch statistics": (
        net(
            f"{LINEAR}\nself.n = nn.BatchNorm1d(outputs, track_running_stats=False)",
            "return self.n(self.a(x))",
        ),
        "depends on the others",
    ),
    "random numbers in evaluations": (
        net(LINEAR, "return self.a(x) * torch.rand(len(x), 1).to(x)"),
        "outside of training",
    ),
    "random numbers from elsewhere": (
        net(LINEAR, "import random\nreturn self.a(x) * random.random()"),
        "torch's own generators",
    ),
    "state outside of buffers": (
        net(f"{LINEAR}\nself.n = 0", "self.n += self.training\nreturn self.a(x) * self.n"),
        "in buffers",
    ),
    "a parameter changed in a pass": (
        net(LINEAR, "self.a.bias.data.add_(1)\nreturn self.a(x)"),
        "changes a.bias",
    ),
    "a buffer that grows": (
        net(
            f"{LINEAR}\nself.register_buffer('n', torch.zeros(1))",
            "if self.training:\n    self.n = torch.zeros(2)\nreturn self.a(x)",
        ),
        "another shape",
    ),
    "input changed in place": (net(LINEAR, "x.mul_(2)\nreturn self.a(x)"), "in place"),
    "counter in a buffer": (
        net(
            f"{LINEAR}\nself.register_buffer('n', torch.zeros(1))", "self.n += 1\nreturn self.a(x)"
        ),
        "buffer n outside of training",
    ),
    "wrong shape": (
        net("self.a = nn.Linear(inputs, 1)", "return self.a(x).squeeze(1)"),
        "is needed",
    ),
    "a tuple": (net(LINEAR, "return self.a(x), x"), "tuple"),
    "float32": (net(LINEAR, "return self.a(x).float()"), "float64"),
    "no parameters": (net("pass", "return x"), "no parameters"),
    "frozen parameters alone": (
        net(f"{LINEAR}\nself.a.requires_grad_(False)", "return self.a(x)"),
        "not frozen",
    ),
    "several inputs": (
        net(LINEAR, "return self.a(x)").replace("forward(self, x)", "forward(self, x, mask, /)"),
        "'x' of its forward pass can be given by position only",
    ),
    "a lazy layer": (net("self.a = nn.LazyLinear(outputs)", "return self.a(x)"), "lazy"),
    "cut off from its parameters": (net(LINEAR, "return self.a(x).detach()"), "differentiated"),
    "an error in forward": (net(LINEAR, "raise ValueError('no such luck')"), "no such luck"),
    "an error in the constructor": (
        net("raise ValueError('no such luck')", "return x"),
        "no such luck",
    ),
    "an argument without default": (
        net(LINEAR, "return self.a(x)", "self, inputs, outputs, depth"),
        "'depth'",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_that_a_module_that_cannot_take_part_is_refused_with_the_reason(
    tmp_path: Path, case: str
) -> None:
    source, words = UNFIT[case]
    state = torch.random.get_rng_state()
    with pytest.raises(InvalidInput) as refused:
        registered(tmp_path, source)
    assert (
        words in str(refused.value)
        and "\n" not in str(refused.value)
        and str(tmp_path) in str(refused.value)
    )
    assert records.read() == ()
    assert torch.equal(torch.random.get_rng_state(), state), (
        "trying a module leaves torch's random numbers alone"
    )
