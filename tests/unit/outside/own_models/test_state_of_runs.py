"""Modules with running statistics, dropout and frozen parameters: the state and the random numbers
belong to the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.models.base import ForwardContext
from optlab.core.errors import InvalidInput, RunFailed
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.hessian import batch_hessian
from optlab.objective.seeding import derived
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.tasks.model_point import model_point
from optlab.training.data_parallel import check_shareable
from optlab.training.trainer import Trainer

HEAD = "import torch\nfrom torch import nn\n"
BATCH_NORM = (
    HEAD
    + """
class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a, self.m = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.b, self.n = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels, momentum=0.3)

    def forward(self, x):
        return torch.relu(x + self.n(self.b(torch.relu(self.m(self.a(x))))))


class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.stem, self.block, self.last = nn.Conv2d(1, 4, 3, stride=2), Block(4), nn.Linear(4, outputs)

    def forward(self, x):
        return self.last(self.block(self.stem(x.unsqueeze(1))).mean((2, 3)))
"""
)
DROPOUT = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, outputs, p=0.5):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(8, 12), nn.Dropout(p), nn.Linear(12, outputs)

    def forward(self, x):
        return self.last(self.drop(torch.tanh(self.first(x.mean(1)))))
"""
)
ENCODER = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.body(x).mean(1))
"""
)
TAGGER = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True, dropout=0.2)
        self.last = nn.Linear(12, outputs)

    def forward(self, x):
        return self.last(self.body(x)[0]).mean(1)
"""
)
CNN = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
            nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(24, outputs))

    def forward(self, x):
        return self.classifier(self.features(x.unsqueeze(1)).flatten(1))
"""
)
FROZEN = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body, self.last = nn.Linear(8, 16), nn.Linear(16, outputs)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.body.requires_grad_(False)

    def forward(self, x):
        return self.last(torch.relu(self.body(x.mean(1)))) * self.scale.exp()
"""
)
NETS = {"resnet": BATCH_NORM, "encoder": ENCODER, "tagger": TAGGER, "cnn": CNN, "frozen": FROZEN}


def registered(folder: Path, source: str) -> Any:
    path = folder / "net.py"
    path.write_text(source, encoding="utf-8")
    register(sources.find(f"{path}:Net"), "net")
    return sources.execute(sources.find(f"{path}:Net"))


def asked(**changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "seed": 3,
        "device": "cpu",
        "precision": "float64",
        "dataset": {"name": "digits", "validation": 0.4, "test": 0.4},
        "model": {"name": "own.net"},
        "optimizer": {"name": "momentum", "lr": 0.05},
        "batches": {"name": "never_shuffled", "size": 32},
        "budget": {"steps": 9},
    }
    return Experiment.from_dict({**tables, **changes})


def advanced(trainer: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.advance()
    trainer.sync_divergence()
    assert not trainer.endings
    return trainer


def state_of(trainer: Trainer, run: int = 0) -> dict[str, Any]:
    return {
        name.removeprefix("model."): value
        for name, value in trainer.snapshot(run, 0.0, "asked").state.items()
        if name.startswith("model.")
    }


def module_at(trainer: Trainer, cls: Any) -> Any:
    """Return a plain torch module with the parameters and the state of the first run."""
    module = cls(outputs=10).double()
    values = {
        name: part[0].reshape(dict(module.named_parameters())[name].shape).clone()
        for name, part in trainer.layout.named(trainer.theta).items()
    } | {name: torch.as_tensor(value) for name, value in state_of(trainer).items()}
    module.load_state_dict(values)
    return module


def torch_steps(trainer: Trainer, module: Any, steps: int) -> list[float]:
    """Take the steps of the experiment with plain torch, seeded as the page of own models says."""
    data = trainer.requested[0].dataset.load()
    x, y = torch.tensor(data.training.x), torch.tensor(data.training.y)
    trained = [value for value in module.parameters() if value.requires_grad]
    rule = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        begin = 32 * (step % -(-len(x) // 32))
        torch.manual_seed(derived(3, f"training pass/{step}"))
        rule.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(x[begin : begin + 32]), y[begin : begin + 32]
        )
        loss.backward()
        losses.append(loss.item())
        rule.step()
    return losses


@pytest.mark.parametrize("net", NETS)
def test_that_steps_state_and_evaluations_are_those_of_a_plain_torch_loop(
    tmp_path: Path, net: str
) -> None:
    cls = registered(tmp_path, NETS[net])
    trainer = Trainer([asked()])
    module = module_at(trainer, cls)
    start = trainer.theta
    with torch.random.fork_rng(devices=[]):
        losses = torch_steps(trainer, module.train(), 9)
    advanced(trainer, 9)
    assert (trainer.theta - start).norm() > 0.1 and len(set(losses)) == 9
    reached = trainer.layout.named(trainer.theta)
    for name, value in module.named_parameters():
        if value.requires_grad:
            torch.testing.assert_close(
                reached[name].reshape(value.shape), value.detach(), rtol=1e-10, atol=1e-10
            )
    plain = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    state = state_of(trainer)
    assert set(state) == {
        *(name for name, value in module.named_parameters() if not value.requires_grad),
        *(name for name, _ in module.named_buffers()),
    }
    for name, value in state.items():
        torch.testing.assert_close(
            torch.as_tensor(value), plain[name].detach(), rtol=1e-10, atol=1e-10
        )
    data = trainer.requested[0].dataset.load()
    with torch.no_grad():
        outputs = module.eval()(torch.tensor(data.test.x))
    expected = torch.nn.functional.cross_entropy(outputs, torch.tensor(data.test.y))
    performance = trainer.test_performance()
    assert performance is not None
    torch.testing.assert_close(performance.loss[0], expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("net", NETS)
def test_that_a_resumed_run_is_bit_identical_and_a_population_is_its_runs_alone(
    tmp_path: Path, net: str
) -> None:
    registered(tmp_path, NETS[net])
    rates = {"optimizer": {"name": "momentum", "lr": 0.02}}
    experiments = [
        asked(),
        asked(seed=4),
        asked(**rates),
        asked(seed=4, optimizer={"name": "adam"}),
    ]
    alone = [advanced(Trainer([one]), 5) for one in experiments]
    together = advanced(Trainer(experiments), 5)
    for run, one in enumerate(alone):
        torch.testing.assert_close(together.theta[run], one.theta[0], rtol=1e-8, atol=1e-9)
        for name, value in state_of(together, run).items():
            np.testing.assert_allclose(value, state_of(one)[name], rtol=1e-8, atol=1e-9)
    whole = advanced(Trainer([asked()]), 5)
    assert torch.equal(whole.theta, alone[0].theta)
    again = advanced(Trainer([asked()], [whole.snapshot(0, 0.0, "asked")]), 4)
    advanced(whole, 4)
    assert torch.equal(again.theta, whole.theta)
    assert again.evaluate().items() and str(again.evaluate()) == str(whole.evaluate())
    for name, value in state_of(whole).items():
        np.testing.assert_array_equal(state_of(again)[name], value)


def test_that_curvature_looks_at_evaluations_and_a_step_sees_one_draw(tmp_path: Path) -> None:
    cls = registered(tmp_path, CNN)
    trainer = advanced(Trainer([asked(), asked(seed=4)]), 3)
    module = module_at(trainer, cls).eval()
    x, y = trainer.batch_of(3)
    objective = trainer.objective
    parameters = dict(module.named_parameters())
    loss = torch.nn.functional.cross_entropy(module(x[0]), y[0])
    gradient = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    flat = torch.cat([part.reshape(-1) for part in gradient])
    v = torch.randn(trainer.theta.shape, dtype=torch.float64)
    product = torch.autograd.grad(flat, list(parameters.values()), v[0])
    between = batch_hessian(objective, trainer.theta, x, y)
    torch.testing.assert_close(
        between.product(v)[0], torch.cat([part.reshape(-1) for part in product])
    )
    # Within a step: batch statistics and a draw, the same in every pass.
    batch = BatchObjective(objective, x, y, [3, 4], 3)
    value, own = batch.gradient(trainer.theta)
    assert torch.equal(batch.loss(trainer.theta), value)
    assert not torch.allclose(value, objective.total(trainer.theta, x, y))
    h = 1e-6
    ends = [batch.gradient(trainer.theta + sign * h * v)[1] for sign in (1.0, -1.0)]
    torch.testing.assert_close(
        batch.hessian_product(trainer.theta)(v), (ends[0] - ends[1]) / (2 * h), rtol=1e-4, atol=1e-6
    )
    both = torch.stack([trainer.theta, trainer.theta], dim=1)
    torch.testing.assert_close(batch.values(both), torch.stack([value, value], dim=1))
    torch.testing.assert_close(batch.only(1).gradient(trainer.theta[1:])[1], own[1:])
    refusing = Trainer([asked(optimizer={"name": "svrg"})])
    with pytest.raises(RunFailed, match="draw random numbers or depend on their batch"):
        refusing.advance()


@pytest.mark.parametrize("rule", ["lbfgs", "sam", "evolution_strategy"])
def test_that_rules_with_several_passes_change_the_statistics_once_a_step(
    tmp_path: Path, rule: str
) -> None:
    cls = registered(tmp_path, CNN)
    trainer = Trainer([asked(optimizer={"name": rule}), asked(seed=4, optimizer={"name": rule})])
    module = module_at(trainer, cls)
    x, _ = trainer.batch_of(0)
    module.train()(x[0])
    advanced(trainer, 1)
    for name, value in state_of(trainer).items():
        torch.testing.assert_close(
            torch.as_tensor(value), dict(module.named_buffers())[name], rtol=1e-9, atol=1e-10
        )


def test_that_masks_are_new_at_each_step_and_keep_the_mean(tmp_path: Path) -> None:
    registered(tmp_path, DROPOUT)
    trainer = Trainer([asked(model={"name": "own.net", "p": 0.25})])
    objective, theta = trainer.objective, trainer.theta
    x, _ = trainer.batch_of(0)
    seen: dict[str, torch.Tensor] = {}
    context = ForwardContext(training=True, trace=seen.__setitem__)
    with torch.no_grad():
        mean, kept, masks = torch.zeros(32, 10, dtype=torch.float64), 0.0, set()
        for step in range(400):
            mean += objective.in_step([3], step).outputs(theta, x, context)[0] / 400
            mask = seen["drop"][0] != 0.0
            kept += float(mask.double().mean()) / 400
            masks.add(bytes(mask.to(torch.uint8).numpy().tobytes()))
        evaluated = objective.outputs(theta, x)[0]
    # 400 · 384 draws: a standard deviation of 0.0011, and of the outputs of at most 0.02.
    assert abs(kept - 0.75) < 0.006 and len(masks) == 400
    assert (mean - evaluated).abs().max() < 0.1 and (mean - evaluated).abs().mean() < 0.02


def test_that_the_best_evaluation_comes_back_with_its_statistics(tmp_path: Path) -> None:
    registered(tmp_path, CNN)
    trainer = advanced(Trainer([asked(stopping={"name": "early"}), asked(seed=4)]), 2)
    trainer.keep_best(0)
    best, state = trainer.theta.clone(), state_of(trainer)
    snapshot = advanced(trainer, 2).snapshot(0, 0.0, "asked")
    assert not np.array_equal(
        state_of(trainer)["features.1.running_mean"], state["features.1.running_mean"]
    )
    trainer.restore_best(0)
    assert torch.equal(trainer.theta[0], best[0])
    for name, value in state.items():
        np.testing.assert_array_equal(state_of(trainer)[name], value)
    # What looks at a snapshot sees its state: the same evaluation as in the run.
    point = model_point(trainer.requested[0], snapshot.theta, 4, snapshot.values, snapshot.state)
    resumed = Trainer([trainer.requested[0]], [snapshot])
    training = trainer.requested[0].dataset.load().training
    losses = point.objective.evaluate(
        point.theta, torch.tensor(training.x), torch.tensor(training.y)
    ).losses
    torch.testing.assert_close(losses.mean(dim=1), resumed.evaluate()["train_loss"])
    with pytest.raises(InvalidInput, match="of another model"):
        model_point(trainer.requested[0], snapshot.theta, 4, {}, {"v": snapshot.theta})


def test_that_ranks_refuse_modules_whose_passes_depend_on_the_whole_batch(tmp_path: Path) -> None:
    registered(tmp_path, DROPOUT)
    experiment = asked()
    with pytest.raises(InvalidInput, match="Train without --ranks"):
        check_shareable(experiment, experiment.dataset.load())
    registered(tmp_path, FROZEN)
    check_shareable(asked(), experiment.dataset.load())
