"""A gradient that is not finite where the loss is: every rule that follows gradients diverges and
names the tensor, also those whose step stays finite (a line search that finds no lower point, a step
by signs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.training.control import Inbox
from optlab.training.events import RunEnded
from optlab.training.session import session
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
NORM_HEAD = """
import torch

class NormHead(torch.nn.Module):
    '''Its outputs times their length, whose gradient is NaN where all of them are zero.'''

    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        h = self.a(x)
        return h * torch.sqrt((h * h).sum(1, keepdim=True))
"""
GRADIENT_FREE = ("cma_es", "evolution_strategy")
LAYERS = ("k_fac",)
"""Rules that take a model apart into affine layers, and refuse this one."""
REASON = (
    "gradient of a.weight is not finite (gradient of this tensor) in step 1; the state of step 0 is "
    "kept"
)


@pytest.fixture
def norm_head(tmp_path: Path, build: Build) -> Callable[..., Experiment]:
    path = tmp_path / "norm_head.py"
    path.write_text(NORM_HEAD, encoding="utf-8")
    register(sources.find(str(path)), "norm_head")

    def made(optimizer: str) -> Experiment:
        return build(
            model={"name": "own.norm_head"},
            initializer={"name": "zero"},
            optimizer={"name": optimizer},
            budget={"steps": 3},
        )

    return made


@pytest.mark.parametrize("deferred", [False, True])
def test_that_every_rule_that_follows_gradients_diverges_at_the_first_step(
    norm_head: Callable[..., Experiment], deferred: bool
) -> None:
    verdicts: dict[str, tuple[str, int, str]] = {}
    for name in registry.names("optimizer"):
        if name in LAYERS:
            with pytest.raises(InvalidInput, match="takes a model apart"):
                norm_head(name)
            continue
        trainer = Trainer([norm_head(name)], deferred=deferred)
        for _ in range(3):
            trainer.advance()
        trainer.sync_divergence()
        if 0 in trainer.endings:
            ending = trainer.endings[0]
            verdicts[name] = (ending.status, ending.step, ending.reason)
        assert torch.isfinite(trainer.theta).all()
    others = (*GRADIENT_FREE, *LAYERS)
    expected = [name for name in registry.names("optimizer") if name not in others]
    assert verdicts == dict.fromkeys(expected, ("diverged", 0, REASON))


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("optimizer", LAYERS)
def test_that_a_rule_of_layers_keeps_the_last_finite_state(
    build: Build, optimizer: str, deferred: bool
) -> None:
    trainer = Trainer(
        [build(model={"name": "mlp", "hidden": [5]}, optimizer={"name": optimizer})],
        deferred=deferred,
    )
    trainer.theta = torch.full_like(trainer.theta, torch.finfo(trainer.theta.dtype).max)
    trainer.advance()
    trainer.sync_divergence()
    assert trainer.endings[0].status == "diverged" and trainer.endings[0].step == 0
    assert torch.isfinite(trainer.theta).all()


@pytest.mark.parametrize("optimizer", ["momentum", "bfgs", "lion"])
def test_that_the_session_reports_the_end_as_diverged(
    norm_head: Callable[..., Experiment], optimizer: str
) -> None:
    events = list(session([norm_head(optimizer)], Inbox()))
    (ended,) = [event for event in events if isinstance(event, RunEnded)]
    assert (ended.status, ended.steps, ended.non_finite_tensor) == (
        "diverged",
        0,
        "gradient of a.weight",
    )


@pytest.mark.parametrize("deferred", [False, True])
def test_that_gradient_free_runs_of_a_population_go_on_alone(
    norm_head: Callable[..., Experiment], deferred: bool
) -> None:
    names = ("lbfgs", "evolution_strategy", "momentum", "newton")
    trainer = Trainer([norm_head(name) for name in names], deferred=deferred)
    start = trainer.theta.clone()
    for _ in range(3):
        trainer.advance()
    trainer.sync_divergence()
    assert sorted(trainer.endings) == [0, 2, 3]
    assert {ending.reason for ending in trainer.endings.values()} == {REASON}
    assert torch.equal(trainer.theta[[0, 2, 3]], start[[0, 2, 3]])
    assert not torch.equal(trainer.theta[1], start[1])


def test_that_a_gradient_that_clipping_makes_finite_is_accepted(build: Build) -> None:
    gradient = torch.tensor([[math.inf, 1.0]], dtype=torch.float64).expand(1, 2)
    norm = torch.tensor([math.inf], dtype=torch.float64)
    accepted = {}
    for clipping in ("none", "norm", "value"):
        trainer = Trainer([build(clipping={"name": clipping})])
        (group,) = trainer.population.groups
        accepted[clipping] = bool(group.accepts(group.clip(gradient, norm)))
    assert accepted == {"none": False, "norm": False, "value": True}
