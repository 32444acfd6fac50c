"""Second derivatives by autograd: through attention, whose fused kernels have none, and the sentence
about operations that have none at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import optlab.optim
from optlab.core.errors import RunFailed
from optlab.experiment import Experiment
from optlab.objective import curvature_check
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.hessian import GraphHessian, batch_hessian
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.runners.jobs import TrainJob, perform
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SessionFailed
from optlab.training.session import session
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
TOKENS, WIDTH, HEADS = 4, 4, 2
ATTENTION = """
import math, torch

class Attention(torch.nn.Module):
    def __init__(self, inputs, outputs, by_hand=False):
        super().__init__()
        self.spread = torch.nn.Linear(inputs, 16)
        self.att = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.out = torch.nn.Linear(16, outputs)
        self.by_hand = by_hand

    def forward(self, x):
        t = torch.tanh(self.spread(x)).view(len(x), 4, 4)
        if not self.by_hand:
            return self.out(self.att(t, t, t, need_weights=False)[0].flatten(1))
        q, k, v = (
            part.view(len(x), 4, 2, 2).transpose(1, 2)
            for part in (t @ self.att.in_proj_weight.T + self.att.in_proj_bias).chunk(3, dim=2)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(2.0), dim=3)
        mixed = (weights @ v).transpose(1, 2).reshape(len(x), 4, 4)
        return self.out(self.att.out_proj(mixed).flatten(1))
"""
CUBE = """
import torch

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.from_numpy(3.0 * x.numpy() ** 2 * g.numpy())

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        h = self.a(x)
        return {output}
"""


def own(tmp_path: Path, name: str, source: str) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    register(sources.find(str(path)), name)


@pytest.fixture
def attention(tmp_path: Path, build: Build) -> Callable[..., Experiment]:
    path = tmp_path / "attention.py"
    path.write_text(ATTENTION, encoding="utf-8")
    register(sources.find(f"{path}:Attention"), "attention")

    def made(by_hand: bool = False, **changes: object) -> Experiment:
        model = {"name": "own.attention", "by_hand": by_hand}
        return build(model=model, initializer={"name": "he"}, **changes)

    return made


def objective_of(
    experiment: Experiment,
) -> tuple[BatchObjective, Trainer, torch.Tensor, torch.Tensor]:
    trainer = Trainer([experiment])
    part = experiment.dataset.load().training
    x, y = torch.from_numpy(part.x[:24])[None].double(), torch.from_numpy(part.y[:24])[None]
    return BatchObjective(trainer.objective, x, y, [1], 0), trainer, x, y


def test_that_hessian_products_through_attention_equal_those_of_plain_operations(
    attention: Callable[..., Experiment],
) -> None:
    products: list[torch.Tensor] = []
    for by_hand in (False, True):
        batch, trainer, x, y = objective_of(attention(by_hand))
        theta = trainer.theta
        v = torch.randn(theta.shape, generator=torch.Generator().manual_seed(3), dtype=theta.dtype)
        hessian = batch_hessian(trainer.objective, theta, x, y)
        products.append(
            torch.stack(
                [
                    hessian.product(v),
                    hessian.several(v.unsqueeze(1)).squeeze(1),
                    (hessian.dense() @ v.unsqueeze(2)).squeeze(2),
                    batch.hessian_product(theta)(v),
                    (batch.hessian(theta) @ v.unsqueeze(2)).squeeze(2),
                    batch.fisher_product(theta)(v),
                    (batch.fisher(theta) @ v.unsqueeze(2)).squeeze(2),
                ]
            )
        )
    fused, plain = products
    assert torch.linalg.vector_norm(plain[0]) > 0.1
    torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)


def test_that_the_hessian_through_attention_is_the_derivative_of_its_gradient(
    attention: Callable[..., Experiment],
) -> None:
    _, trainer, x, y = objective_of(attention())
    theta, objective = trainer.theta, trainer.objective
    v = torch.randn(theta.shape, generator=torch.Generator().manual_seed(4), dtype=theta.dtype)
    ahead, behind = (
        objective.value_and_gradient(theta + side * 1e-5 * v, x, y)[1] for side in (1.0, -1.0)
    )
    product = batch_hessian(objective, theta, x, y).product(v)
    torch.testing.assert_close(product, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("instrument", ["conditioning", "spectrum", "spectral_density"])
def test_that_instruments_of_curvature_measure_attention_and_leave_training_untouched(
    attention: Callable[..., Experiment], instrument: str
) -> None:
    def ended(**changes: object) -> tuple[str, set[str]]:
        events = list(session([attention(budget={"steps": 6}, **changes)], Inbox()))
        (end,) = [event for event in events if isinstance(event, RunEnded)]
        names = {name for event in events for name in getattr(event, "series", {})}
        return end.theta_sha256, {name for name in names if name.startswith(instrument)}

    plain, nothing = ended()
    measured, series = ended(instruments={instrument: {"every": 2}})
    assert measured == plain
    assert series and not nothing


def test_that_the_newton_optimizer_of_scripts_goes_through_attention() -> None:
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
    tokens = torch.randn(3, TOKENS, WIDTH, dtype=torch.float64)
    optimizer = optlab.optim.Newton(layer.parameters())

    def closure() -> torch.Tensor:
        return (layer(tokens, tokens, tokens, need_weights=False)[0] - 1.0).square().mean()

    before = closure().item()
    optimizer.step(closure)
    assert closure().item() < before


OPERATIONS = {
    "cdist": ("h + torch.cdist(x, self.a.weight)", "_cdist_backward"),
    "custom": ("Cube.apply(h)", "Can't call numpy"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("optimizer", ["newton", "natural_gradient", "saddle_free_newton"])
def test_that_an_operation_without_a_second_derivative_is_named_in_one_sentence(
    tmp_path: Path, build: Build, operation: str, optimizer: str
) -> None:
    source, cause = OPERATIONS[operation]
    own(tmp_path, operation, CUBE.replace("{output}", source))
    experiment = build(model={"name": f"own.{operation}"}, optimizer={"name": optimizer})
    (failed,) = [
        event
        for event in perform(TrainJob((experiment.to_toml(),)), Inbox())
        if isinstance(event, SessionFailed)
    ]
    assert failed.message.startswith(
        f"model.name is 'own.{operation}': its second derivatives cannot be computed ("
    )
    assert cause in failed.message and "\n" not in failed.message
    assert not failed.detail


def test_that_a_lack_of_memory_is_not_taken_for_a_lack_of_derivatives() -> None:
    class Full(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, g: torch.Tensor) -> torch.Tensor:  # type: ignore[override] # as torch documents it
            raise torch.OutOfMemoryError("not enough memory: you tried to allocate 1 byte")

    with pytest.raises(torch.OutOfMemoryError):
        GraphHessian(lambda theta: Full.apply(theta).sum(dim=1), torch.zeros(1, 3))


def test_that_a_function_without_second_derivatives_is_refused_too() -> None:
    hessian = GraphHessian(lambda theta: torch.cdist(theta, theta + 1.0).sum(1), torch.ones(1, 3))
    with pytest.raises(RunFailed, match="second derivatives cannot be computed"):
        hessian.product(torch.ones(1, 3))


# --- second derivatives that are wrong ------------------------------------------------------------

FUNCTION = """
import torch
from torch.autograd.function import once_differentiable

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.x = x.detach()
        return x**3

    {decorator}
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return {backward}

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, 6)
        self.b = torch.nn.Linear(6, outputs)
        self.shift = {shift}

    def forward(self, x):
        return self.b({layer}) + self.shift
"""
ONCE = "@staticmethod\n    @once_differentiable\n    def backward(ctx, g):"


def function_net(
    backward: str, layer: str = "Cube.apply(self.a(x))", *, once: bool = False, shift: str = "0.0"
) -> str:
    source = FUNCTION.format(decorator="", backward=backward, layer=layer, shift=shift)
    return source.replace("@staticmethod\n    def backward(ctx, g):", ONCE) if once else source


def at_start(name: str, build: Build, precision: str) -> tuple[Trainer, torch.Tensor, torch.Tensor]:
    """A run of a registered model at its start, and its training examples."""
    experiment = build(model={"name": f"own.{name}"}, dataset={"name": "iris"}, precision=precision)
    part = experiment.dataset.load().training
    trainer = Trainer([experiment])
    x = torch.from_numpy(part.x)[None].to(trainer.theta.dtype)
    return trainer, x, torch.from_numpy(part.y)[None]


def asked_for_curvature(name: str, build: Build, precision: str = "float64") -> torch.Tensor:
    """A Hessian product at the start of a run of a registered model."""
    trainer, x, y = at_start(name, build, precision)
    hessian = batch_hessian(trainer.objective, trainer.theta, x, y)
    return hessian.product(torch.ones_like(trainer.theta))


WRONG = {
    "detached": "3.0 * ctx.x**2 * g",
    "half of it": "1.5 * x**2 * g + 1.5 * ctx.x**2 * g",
    "a constant for g": "3.0 * x**2 * g.detach()",
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("what", WRONG)
def test_that_a_wrong_double_backward_is_noticed_where_curvature_is_asked(
    tmp_path: Path, build: Build, what: str, precision: str
) -> None:
    own(tmp_path, "wrong", function_net(WRONG[what]))
    with pytest.raises(RunFailed) as error:
        asked_for_curvature("wrong", build, precision)
    assert "model.name is 'own.wrong': its second derivatives are wrong" in str(error.value)
    assert "for the weight" in str(error.value)


@pytest.mark.parametrize("layer", ["Cube.apply(self.a(x))", "self.a(x) + Cube.apply(x)[:, :1]"])
def test_that_a_function_that_is_differentiable_once_is_refused(
    tmp_path: Path, build: Build, layer: str
) -> None:
    own(tmp_path, "once", function_net("3.0 * x**2 * g", layer, once=True))
    if "Cube.apply(x)" in layer:
        # It has no parameter below it, so its second derivative is not needed.
        asked_for_curvature("once", build)
        return
    with pytest.raises(
        RunFailed, match=r"own\.once': its second derivatives (are wrong|cannot be)"
    ):
        asked_for_curvature("once", build)


RIGHT = {
    "a differentiable backward": function_net("3.0 * x**2 * g"),
    "kinks": function_net("3.0 * x**2 * g", "torch.relu(self.a(x))"),
    "many kinks": function_net("3.0 * x**2 * g", "(20 * self.a(x)).abs() % 1.0"),
    "no curvature": function_net("3.0 * x**2 * g", "self.a(x)"),
    "steep": function_net("3.0 * x**2 * g", "torch.tanh(30 * self.a(x))"),
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("what", RIGHT)
def test_that_right_second_derivatives_are_not_called_wrong(
    tmp_path: Path, build: Build, what: str, precision: str
) -> None:
    own(tmp_path, "right", RIGHT[what])
    assert bool(torch.isfinite(asked_for_curvature("right", build, precision)).all())


def test_that_the_check_is_made_once_and_its_result_is_kept(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(tmp_path, "wrong", function_net(WRONG["detached"]))
    trainer, x, y = at_start("wrong", build, "float32")
    with pytest.raises(RunFailed, match="are wrong"):
        batch_hessian(trainer.objective, trainer.theta, x, y)
    monkeypatch.setattr(curvature_check, "_problem", lambda *_: pytest.fail("checked again"))
    with pytest.raises(RunFailed, match="are wrong"):
        batch_hessian(trainer.objective, trainer.theta, x, y)
