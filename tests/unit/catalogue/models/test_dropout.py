"""Dropout in the models of the catalogue: masks of each run's own, one set a step, none elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.seeding import derived
from optlab.training.data_parallel import check_shareable
from optlab.training.trainer import Trainer

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "hidden": [12, 12], "skip": True, "batch_norm": True, "auxiliary": 0.3},
    "cnn": {"name": "cnn", "channels": [3, 4]},
    "transformer": {"name": "transformer", "width": 8, "heads": 2, "hidden": 8, "blocks": 1},
}


def asked(model: dict[str, Any], share: float = 0.4, **changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "seed": 3,
        "device": "cpu",
        "precision": "float64",
        "dataset": {"name": "digits", "validation": 0.4, "test": 0.4},
        "model": {**model, "dropout": share},
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


def masks(step: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Return what a step of the run with seed 3 multiplies values of these shapes by."""
    source = torch.Generator().manual_seed(derived(3, f"training pass/{step}"))
    drawn = [torch.rand(shape, generator=source, dtype=torch.float64) for shape in shapes]
    return [(one >= 0.4).double() / 0.6 for one in drawn]


def plain_outputs(name: str, p: dict[str, torch.Tensor], x: torch.Tensor, step: int) -> Any:
    """Return the outputs of a network written with torch's functions, with masks by hand."""
    m = len(x)
    if name == "mlp":
        (first, second) = masks(step, (m, 12), (m, 12))
        h = functional.linear(x.flatten(1), p["layers.0.weight"], p["layers.0.bias"])
        h = torch.relu(h) * first
        h = torch.relu(functional.linear(h, p["layers.1.weight"], p["layers.1.bias"])) * second
        return functional.linear(h, p["layers.2.weight"], p["layers.2.bias"])
    if name == "cnn":
        (mask,) = masks(step, (m, 16))
        h = x.unsqueeze(1)
        for number in range(2):
            weight, bias = (p[f"convolutions.{number}.{what}"] for what in ("weight", "bias"))
            h = functional.avg_pool2d(torch.relu(functional.conv2d(h, weight, bias, padding=1)), 2)
        return functional.linear(h.flatten(1) * mask, p["output.weight"], p["output.bias"])
    block = {n.removeprefix("blocks.0."): v for n, v in p.items()}
    embedding, mixed_mask, returned_mask = (
        one.view(m, 8, 8) for one in masks(step, *[(m * 8, 8)] * 3)
    )
    h = functional.linear(x, p["embedding.weight"], p["embedding.bias"]) + p["positions.weight"]
    h = h * embedding
    z = functional.layer_norm(h, (8,), block["norm1.weight"], block["norm1.bias"])
    z = functional.linear(z, block["attention.weight"], block["attention.bias"])
    q, k, v = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in z.chunk(3, dim=2))
    z = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    h = h + functional.linear(z, block["mixing.weight"], block["mixing.bias"]) * mixed_mask
    z = functional.layer_norm(h, (8,), block["norm2.weight"], block["norm2.bias"])
    z = torch.relu(functional.linear(z, block["hidden.weight"], block["hidden.bias"]))
    h = h + functional.linear(z, block["back.weight"], block["back.bias"]) * returned_mask
    h = functional.layer_norm(h, (8,), p["norm.weight"], p["norm.bias"])
    return functional.linear(h.mean(1), p["output.weight"], p["output.bias"])


@pytest.mark.parametrize("name", MODELS)
def test_that_steps_are_those_of_torch_with_the_same_masks(name: str) -> None:
    plain = {"name": "mlp", "hidden": [12, 12]} if name == "mlp" else MODELS[name]
    trainer = Trainer([asked(plain)])
    values = {
        name: part[0].clone().requires_grad_()
        for name, part in trainer.layout.named(trainer.theta).items()
    }
    rule = torch.optim.SGD(values.values(), lr=0.05, momentum=0.9)
    for step in range(4):
        x, y = (one[0] for one in trainer.batch_of(step))
        rule.zero_grad()
        functional.cross_entropy(plain_outputs(name, values, x, step), y).backward()
        rule.step()
    advanced(trainer, 4)
    for part, value in zip(trainer.layout.split(trainer.theta), values.values(), strict=True):
        torch.testing.assert_close(part[0], value.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_that_runs_repeat_resume_and_stand_beside_others_with_their_own_masks(name: str) -> None:
    experiments = [asked(MODELS[name]), asked(MODELS[name], seed=4)]
    alone = [advanced(Trainer([one]), 3) for one in experiments]
    together = advanced(Trainer(experiments), 3)
    torch.testing.assert_close(
        together.theta, torch.cat([one.theta for one in alone]), rtol=1e-9, atol=1e-10
    )
    first = alone[0]
    again = advanced(Trainer(experiments[:1], [first.snapshot(0, 0.0, "asked")]), 2)
    assert torch.equal(again.theta, advanced(first, 2).theta)
    # Between steps there is no dropout, so that instruments and evaluations are of one function.
    without = Trainer([asked(MODELS[name], 0.0)])
    x, y = first.batch_of(5)
    for own, other in (
        (first.objective.total(first.theta, x, y), without.objective.total(first.theta, x, y)),
        (first.objective.outputs(first.theta, x), without.objective.outputs(first.theta, x)),
    ):
        assert torch.equal(own, other)
    batch = BatchObjective(first.objective, x, y, [3], 5)
    value, _ = batch.gradient(first.theta)
    assert torch.equal(batch.loss(first.theta), value)
    assert abs(float(value - without.objective.total(first.theta, x, y))) > 1e-3


def test_that_a_rule_with_the_whole_hessian_sees_the_dropout_of_its_step() -> None:
    trainer = Trainer([asked({"name": "mlp", "hidden": [3]}, optimizer={"name": "newton"})])
    x, y = trainer.batch_of(0)
    batch = BatchObjective(trainer.objective, x, y, [3], 0)
    v = torch.randn(trainer.theta.shape, dtype=torch.float64)
    ends = [batch.gradient(trainer.theta + h * v)[1] for h in (1e-6, -1e-6)]
    for product in (
        batch.hessian_product(trainer.theta)(v),
        batch.hessian(trainer.theta)[0] @ v[0],
    ):
        torch.testing.assert_close(
            product.view(-1), (ends[0] - ends[1])[0] / 2e-6, rtol=1e-4, atol=1e-6
        )


def test_that_ranks_refuse_dropout_in_one_sentence() -> None:
    experiment = asked(MODELS["cnn"])
    with pytest.raises(InvalidInput, match="Train without --ranks"):
        check_shareable(experiment, experiment.dataset.load())
