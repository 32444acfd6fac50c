"""Optimizers from a file: each kind of state, stepped in runs as in a loop of plain torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers._bridge import own, trial
from optlab.catalogue.optimizers._bridge.foreign import ForeignPopulation
from optlab.catalogue.optimizers._bridge.foreign_rules import ClosureRule
from optlab.core import registry
from optlab.core.errors import InvalidInput, StoreError
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.deferral import ForWorker, left_to_worker
from optlab.training.trainer import Trainer

HEAD = "import collections, random\nimport torch\nfrom torch.optim import Optimizer\n"
RULE = """
class Rule(Optimizer):
    def __init__(self, params, lr=0.05{arguments}):
        super().__init__(params, dict(lr=lr))
        {made}

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state, lr = self.state[p], group["lr"]
                {step}
        {after}
"""


def source(step: str, made: str = "pass", after: str = "pass", arguments: str = "") -> str:
    return HEAD + RULE.format(step=step, made=made, after=after, arguments=arguments)


NESTED = source(
    """if not state:
                    state["moments"] = {0.5: torch.zeros_like(p), 0.9: [torch.zeros_like(p)]}
                    state["past"] = collections.deque(maxlen=4)
                state["moments"][0.5].mul_(0.5).add_(p.grad)
                state["moments"][0.9][0].mul_(0.9).add_(p.grad)
                state["past"].append(p.grad.clone())
                p.sub_(lr * (state["moments"][0.5] + state["moments"][0.9][0] + sum(state["past"])))""",
)
NUMBERS = source(
    """state["count"] = state.get("count", 0) + 1
                state["size"] = 0.5 * state.get("size", 0) + p.grad.norm().item()
                state["seen"] = state["count"] > 5
                p.sub_(p.grad, alpha=lr / (1 + self.steps + state["size"] + state["seen"]))""",
    made="self.steps = 0",
    after="self.steps += 1",
)
HELD = source(
    """self.memory.held.setdefault(p, torch.zeros_like(p)).mul_(0.9).add_(p.grad)
                state["previous"] = p.grad
                p.sub_(self.memory.held[p] + 0.1 * state["previous"], alpha=lr)""",
    made="self.memory = Memory()",
).replace(
    "class Rule", "class Memory:\n    def __init__(self):\n        self.held = {}\n\n\nclass Rule"
)
FROZEN = source(
    """if "mask" not in state:
                    state["mask"] = (torch.rand_like(p) > 0.3).to(p)
                    state["start"] = p.detach().clone()
                p.data = p.data - lr * (state["mask"] * p.grad + 0.1 * (p - state["start"]))"""
)
DRAWS = source(
    """noise = torch.randn_like(p) * random.random() * self.own.random()
                p.sub_(lr * (p.grad + 0.01 * noise))""",
    made="self.own = random.Random(0)",
)
MODES = """
class Rule(Optimizer):
    def __init__(self, params, lr=0.1, beta=0.9):
        super().__init__(params, dict(lr=lr, beta=beta, k=0, train_mode=False))

    @torch.no_grad()
    def eval(self):
        for group in self.param_groups:
            if group["train_mode"]:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], 1 - 1 / group["beta"])
                group["train_mode"] = False

    @torch.no_grad()
    def train(self):
        for group in self.param_groups:
            if not group["train_mode"]:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], 1 - group["beta"])
                group["train_mode"] = True

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("not in train mode")
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.detach().clone())
                c = 1 / (group["k"] + 1)
                p.lerp_(z, c)
                p.add_(p.grad, alpha=group["lr"] * (group["beta"] * (1 - c) - 1))
                z.sub_(p.grad, alpha=group["lr"])
            group["k"] += 1
"""
TWO_STEPS = '''
class Rule(Optimizer):
    """Sharpness-aware: a step up, the gradient there, and the wrapped optimizer's step."""

    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("this optimizer needs a closure")
        closure = torch.enable_grad()(closure)
        norm = torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["old"] = p.data.clone()
                p.add_(p.grad * (group["rho"] / (norm + 1e-12)))
        closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old"]
        self.base_optimizer.step()
'''
LOOKAHEAD = """
class Rule(Optimizer):
    def __init__(self, optimizer, k=5, alpha=0.5):
        self.optimizer, self.k, self.alpha, self.count = optimizer, k, alpha, 0
        self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
        self.state = collections.defaultdict(dict)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["slow"] = p.detach().clone()

    @torch.no_grad()
    def step(self, closure=None):
        self.optimizer.step()
        self.count += 1
        if self.count % self.k == 0:
            for group in self.param_groups:
                for p in group["params"]:
                    slow = self.state[p]["slow"]
                    slow.lerp_(p, self.alpha)
                    p.copy_(slow)
"""
SEARCH = '''
class Rule(Optimizer):
    """Halves its rate until the loss falls."""

    def __init__(self, params, lr=2.0):
        super().__init__(params, dict(lr=lr))

    def step(self, closure):
        loss = closure()
        (group,) = self.param_groups
        start, g = [p.detach().clone() for p in group["params"]], [p.grad for p in group["params"]]
        rate = group["lr"]
        for _ in range(20):
            with torch.no_grad():
                for p, s, d in zip(group["params"], start, g):
                    p.copy_(s - rate * d)
            if closure() < loss:
                break
            rate = rate / 2
        self.rate = rate
'''
OWN_RATE = source("p.sub_(p.grad, alpha=lr)", after="self.param_groups[0]['lr'] *= 0.97")
BROADCAST = source(
    """
                one = torch.tensor(1.0, dtype=p.dtype)
                state["rate"] = state["rate"] * torch.full((1,), 0.97).to(p) if state else one
                p.sub_(lr * state["rate"] * p.grad)
    """.strip()
)
"""Its state becomes a list of one number, as operations on several tensors at once make it."""
GROWN = source(
    "p.sub_(p.grad, alpha=float(lr * group['d']))",
    made="self.param_groups[0]['d'] = 1.0",
    after="""
        if max(p.grad.abs().max() for p in group["params"]) > 0.01:
            group["d"] = max(group["d"] * 1.02, torch.full((1,), 0.9, dtype=p.dtype))
            if not isinstance(group["d"], torch.Tensor):
                group["d"] = torch.full((1,), group["d"], dtype=p.dtype)
    """.strip(),
)
"""A number that becomes a tensor with an axis when the gradients are large, not in trial steps."""
BY_ADDRESS = source(
    """
                kept = self.kept.setdefault(id(p), {"m": torch.zeros_like(p)})
                kept["m"].mul_(0.9).add_(p.grad)
                p.sub_(kept["m"], alpha=lr)
    """.strip(),
    made="self.kept = {}",
)
"""Its state is found by the address of the parameter, which is another one in each process."""
KINDS = {
    "broadcast": BROADCAST,
    "grown": GROWN,
    "by_address": BY_ADDRESS,
    "nested": NESTED,
    "numbers": NUMBERS,
    "held": HELD,
    "frozen": FROZEN,
    "draws": DRAWS,
    "modes": HEAD + MODES,
    "two_steps": HEAD + TWO_STEPS,
    "lookahead": HEAD + LOOKAHEAD,
    "search": HEAD + SEARCH,
    "own_rate": OWN_RATE,
}


def registered(folder: Path, text: str, name: str = "rule") -> own.Tried:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return own.register(sources.find(str(path), kind=records.OPTIMIZER), name)


def asked(**changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "seed": 3,
        "device": "cpu",
        "precision": "float64",
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [4]},
        "optimizer": {"name": "own.rule"},
        "budget": {"steps": 40},
    }
    return Experiment.from_dict({**tables, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_that_runs_take_the_steps_of_a_loop_and_continue_exactly(tmp_path: Path, kind: str) -> None:
    done = registered(tmp_path, KINDS[kind])
    assert done.difference <= 1e-12
    rule = registry.get("optimizer", "own.rule")
    assert issubclass(rule, ClosureRule) is (kind in ("two_steps", "search"))
    experiment = asked()
    trainer = Trainer([experiment, experiment.with_values({"optimizer.lr": 0.02, "seed": 7})])
    for _ in range(11):
        trainer.advance()
    snapshots = [trainer.snapshot(run, 0.0, "asked") for run in (0, 1)]
    for _ in range(9):
        trainer.advance()
    resumed = Trainer(list(trainer.requested), snapshots)
    alone = Trainer([trainer.requested[1]])
    for _ in range(9):
        resumed.advance()
    for _ in range(20):
        alone.advance()
    assert torch.equal(resumed.theta, trainer.theta)
    torch.testing.assert_close(alone.theta[0], trainer.theta[1], rtol=1e-10, atol=1e-12)
    assert bool(torch.isfinite(trainer.theta).all())


def test_that_the_trial_notices_a_step_that_is_not_that_of_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_gradient = ForeignPopulation.set_gradient

    def wrong(self: ForeignPopulation, run: int, g: torch.Tensor) -> None:
        set_gradient(self, run, g * (1.0 + 1e-9))

    monkeypatch.setattr(ForeignPopulation, "set_gradient", wrong)
    with pytest.raises(InvalidInput, match=r"takes other steps here than in a loop of its own"):
        registered(tmp_path, NUMBERS)
    assert "own.rule" not in registry.names("optimizer")


HIDDEN = (
    source("p.sub_(p.grad, alpha=lr / len(STEPS))", after="STEPS.append(0)") + "\nSTEPS = [0]\n"
)
GROWING = source(
    """state.setdefault("past", []).append(p.grad.clone())
                p.sub_(sum(state["past"]), alpha=lr)"""
)
TEXT = source("""state["turn"] = "b" if state.get("turn") == "a" else "a"
                p.sub_(p.grad, alpha=lr)""")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HIDDEN, "keeps state where it is not found"),
        (GROWING, "a state that grows at every step"),
        (TEXT, "which is a text that changes"),
        (source("raise KeyError('mask')"), "failed in a trial step with KeyError: 'mask'"),
        (source("p.mul_(float('nan'))"), "does not stay finite"),
        (
            source("torch.autograd.grad(p.grad.sum(), p)", "pass"),
            "it differentiates the gradient, but gets it without a graph",
        ),
        (
            source("raise ValueError('no Double' if p.dtype == torch.float64 else 'no luck')"),
            "failed in a trial step with ValueError: no luck",  # in single precision, too
        ),
        (source("pass", arguments=", *, table"), "its argument 'table' has no default"),
        (
            (HEAD + TWO_STEPS).replace("params, base_optimizer, rho", "model, params, rho"),
            "it takes a model, but an optimizer of a run gets parameters alone",
        ),
    ],
)
def test_that_what_cannot_run_says_why_and_is_not_kept(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason) as refusal:
        registered(tmp_path, text)
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    assert str(refusal.value).count(str(tmp_path)) == 1
    assert records.read(records.OPTIMIZER) == ()


def test_that_arguments_become_fields_that_fit_them(tmp_path: Path) -> None:
    arguments = (
        ", betas=(0.9, 0.99), *, horizon: int, mode: 'Literal[\"a\", \"b\"]' = 'b', growth=float('inf'),"
        " hook=None, size=3, careful=True"
    )
    registered(tmp_path, source("p.sub_(p.grad, alpha=lr)", arguments=arguments))
    rule = registry.get("optimizer", "own.rule")
    assert {field.name: (field.kind, field.default) for field in rule.fields()} == {
        "lr": ("number", 0.05),
        "beta1": ("number", 0.9),
        "beta2": ("number", 0.99),
        "horizon": ("integer", 1),
        "mode": ("choice", "b"),
        "size": ("integer", 3),
        "careful": ("flag", True),
    }
    with pytest.raises(InvalidInput, match=r"optimizer\.mode is 'c'"):
        asked(optimizer={"name": "own.rule", "mode": "c"})


def test_that_a_rate_that_changes_on_the_way_reaches_the_groups(tmp_path: Path) -> None:
    registered(tmp_path, OWN_RATE)
    trainer = Trainer([asked()])
    for _ in range(5):
        trainer.advance()
    trainer.set_value("optimizer.lr", 0.1)
    resumed = Trainer(list(trainer.requested), [trainer.snapshot(0, 0.0, "asked")])
    for _ in range(3):
        trainer.advance()
        resumed.advance()
    assert torch.equal(trainer.theta, resumed.theta)
    state = trainer.snapshot(0, 0.0, "asked").state
    assert float(state["group.0/lr"]) == pytest.approx(0.1 * 0.97**8, rel=1e-12)


def test_that_the_trainer_evaluates_the_point_of_eval_and_takes_gradients_at_that_of_train(
    tmp_path: Path,
) -> None:
    registered(tmp_path, HEAD + MODES)
    trainer = Trainer([asked()])
    for _ in range(10):
        trainer.advance()
    snapshot = trainer.snapshot(0, 0.0, "asked")
    y, x, z = snapshot.state["point"], snapshot.theta, snapshot.state["*/z"]
    np.testing.assert_allclose(y, 0.9 * x + 0.1 * z, rtol=1e-12, atol=1e-12)
    assert not np.array_equal(x, y)


def test_that_a_point_of_its_own_cannot_be_delayed(tmp_path: Path) -> None:
    registered(tmp_path, HEAD + MODES)
    with pytest.raises(InvalidInput, match="keeps the point of its gradients") as refusal:
        Trainer([asked(delay={"name": "fixed", "steps": 2})])
    assert refusal.value.field == "delay.name"


def test_that_betas_follow_a_schedule(tmp_path: Path) -> None:
    text = source(
        "p.sub_(p.grad, alpha=lr * group['betas'][1])", arguments=", betas=(0.5, 1.0)"
    ).replace("dict(lr=lr)", "dict(lr=lr, betas=betas)")
    registered(tmp_path, text)
    schedules = {"optimizer.beta2": "linear to 0 in 4"}
    trainer = Trainer([asked(schedules=schedules)])
    for _ in range(4):
        trainer.advance()
    before = trainer.theta
    trainer.advance()
    assert torch.equal(trainer.theta, before)


def test_that_nothing_is_executed_before_it_is_registered_nor_outside_of_a_worker(
    tmp_path: Path,
) -> None:
    marker = tmp_path / "executed"
    text = NUMBERS + f"\nopen({str(marker)!r}, 'w').close()\n"
    path = tmp_path / "rule.py"
    path.write_text(text, encoding="utf-8")
    source = sources.find(str(path), kind=records.OPTIMIZER)
    assert source.cls == "Rule" and not marker.exists()
    with left_to_worker(), pytest.raises(ForWorker):
        own.register(source, "rule")
    assert not marker.exists() and records.read(records.OPTIMIZER) == ()
    own.register(source, "rule")
    path.write_text(text + "# changed\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"optimizer\.name is 'own\.rule', but .* has changed"):
        Trainer([asked()])
    assert "has changed" in registry.get("optimizer", "own.rule").unavailable()


def test_that_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    registered(tmp_path, NUMBERS)
    trainer = Trainer([asked()])
    trainer.advance()
    snapshot = trainer.snapshot(0, 0.0, "asked")
    registered(tmp_path, NESTED)
    with pytest.raises(InvalidInput, match=r"optimizer state is not that of Rule \(own\.rule\)"):
        Trainer([asked()], [snapshot])


def test_that_the_command_registers_lists_and_forgets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.py"
    path.write_text(NUMBERS, encoding="utf-8")
    assert main(["optimizer", "register", str(path), "--name", "mine", "--yes", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["name"] == "own.mine" and document["fields"] == ["lr"]
    assert document["difference"] <= 1e-12
    assert main(["optimizer", "list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["class"] == "Rule"
    assert main(["optimizer", "forget", "own.mine"]) == 0
    capfd.readouterr()
    assert main(["optimizer", "register", str(path), "--json"]) == 2
    assert "pass --yes" in json.loads(capfd.readouterr().out)["error"]
    assert main(["optimizer", "register", str(tmp_path / "none.py")]) == 2
    assert "own.mine" not in registry.names("optimizer")


def test_that_the_trial_is_of_two_different_runs() -> None:
    start = trial.Problem("float64").start
    assert start.shape[0] == 2 and not torch.equal(start[0], start[1])


def test_that_a_list_too_large_to_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = registered(tmp_path, NUMBERS)
    size = records.place(records.OPTIMIZER).stat().st_size
    monkeypatch.setattr(records, "LARGEST_DOCUMENT", size + 10)
    with pytest.raises(StoreError, match=r"would be larger than .* forget some of them first"):
        registered(tmp_path, NUMBERS, "another")
    assert records.read(records.OPTIMIZER) == (done.registration,)
