"""Recorded Hessians have the bits of ordinary ones, or are not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.objective.hessian import WrittenOutHessian, batch_hessian
from optlab.training.capturing import recorded_hessians
from optlab.training.capturing.recorded_hessians import (
    CHECKED,
    FIRST,
    RecordedHessians,
    RepeatedHessian,
    _Recording,
)
from optlab.training.capturing.repeated_calls import copy_of, refill, repeated_calls
from optlab.training.capturing.trace import recorded
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
BATCH = 12
MODELS: dict[str, dict[str, Any]] = {
    "tanh": {"model": {"name": "mlp", "hidden": [6, 5], "activation": "tanh"}},
    "relu": {"model": {"name": "mlp", "hidden": [6], "activation": "relu"}},
    "gelu": {"model": {"name": "mlp", "hidden": [6], "activation": "gelu"}},
    "linear": {"model": {"name": "linear"}},
    "deep linear": {"model": {"name": "deep_linear", "depth": 3, "width": 4}},
    "autoencoder": {"model": {"name": "autoencoder", "code": 2}, "loss": {"name": "squared_error"}},
    "decay": {
        "model": {"name": "mlp", "hidden": [6]},
        "loss": {"name": "cross_entropy", "l2": 0.1},
    },
}


def points(
    trainer: Trainer, runs: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Parameters ``[R, P]`` and a batch ``[R, m, …]`` of drawn examples."""
    source = torch.Generator().manual_seed(seed)
    part = trainer._surroundings.training
    rows = torch.randint(len(part.x), (runs, BATCH), generator=source)
    theta = trainer.theta.new_empty(runs, trainer.theta.shape[1]).normal_(generator=source)
    return theta, part.x[rows], part.y[rows]


def taught(hessians: RecordedHessians, trainer: Trainer, runs: int) -> None:
    """Ask for Hessians until the next one is repeated and not compared any more."""
    for seed in range(FIRST + 1 + CHECKED):
        theta, x, y = points(trainer, runs, seed)
        hessian = hessians.at(trainer.objective, theta, x, y)
        hessian.product(theta)
        hessian.along(theta)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_products_have_the_bits_of_ordinary_ones(
    build: Build, name: str, runs: int, precision: str
) -> None:
    trainer = Trainer([build(**MODELS[name], precision=precision)])
    hessians = RecordedHessians()
    taught(hessians, trainer, runs)
    for seed in (100, 101):
        theta, x, y = points(trainer, runs, seed)
        repeated, usual = (
            give(trainer.objective, theta, x, y) for give in (hessians.at, batch_hessian)
        )
        assert isinstance(repeated, RepeatedHessian)
        for v in (theta, torch.ones_like(theta), torch.zeros_like(theta)):
            assert torch.equal(repeated.product(v), usual.product(v))
            assert torch.equal(repeated.along(v), usual.along(v))
        several = torch.stack([theta, theta.square()], dim=1)
        assert torch.equal(repeated.several(several), usual.several(several))
        assert repeated.products == usual.products == 8


def test_two_points_may_take_turns(build: Build) -> None:
    trainer = Trainer([build(model={"name": "mlp", "hidden": [6], "activation": "tanh"})])
    hessians = RecordedHessians()
    taught(hessians, trainer, 1)
    at = [points(trainer, 1, seed) for seed in (7, 8)]
    repeated = [hessians.at(trainer.objective, *point) for point in at]
    usual = [batch_hessian(trainer.objective, *point) for point in at]
    first = repeated[0].product(at[0][0])
    for _ in range(2):
        for mine, its, (theta, _, _) in zip(repeated, usual, at, strict=True):
            assert isinstance(mine, RepeatedHessian)
            assert torch.equal(mine.product(theta), its.product(theta))
            assert torch.equal(mine.along(theta), its.along(theta))
    # Nothing that was returned is overwritten.
    assert torch.equal(first, usual[0].product(at[0][0]))


def test_what_is_not_finite_stays_so(build: Build) -> None:
    trainer = Trainer([build(model={"name": "mlp", "hidden": [6], "activation": "relu"})])
    hessians = RecordedHessians()
    taught(hessians, trainer, 3)
    theta, x, y = points(trainer, 3, 5)
    theta[0, 0], theta[1, 1] = float("nan"), float("inf")
    repeated, usual = (
        give(trainer.objective, theta, x, y) for give in (hessians.at, batch_hessian)
    )
    assert isinstance(repeated, RepeatedHessian)
    v = torch.ones_like(theta)
    assert same(repeated.product(v), usual.product(v))
    assert not torch.isfinite(usual.product(v)[0]).all()
    theta, x, y = points(trainer, 3, 6)
    assert torch.equal(
        hessians.at(trainer.objective, theta, x, y).product(v),
        batch_hessian(trainer.objective, theta, x, y).product(v),
    )


def test_weight_decay_may_change(build: Build) -> None:
    trainer = Trainer([build(loss={"name": "cross_entropy", "l2": 0.1})])
    hessians = RecordedHessians()
    taught(hessians, trainer, 1)
    objective = trainer.objective
    theta, x, y = points(trainer, 1, 5)
    v = torch.ones_like(theta)
    before = hessians.at(objective, theta, x, y).product(v)
    objective.set_losses([objective.loss.model_copy(update={"l2": 0.5})])  # type: ignore[union-attr]
    after = hessians.at(objective, theta, x, y)
    assert torch.equal(after.product(v), batch_hessian(objective, theta, x, y).product(v))
    assert not torch.equal(after.product(v), before)
    taught(hessians, trainer, 1)
    again = hessians.at(objective, theta, x, y)
    assert isinstance(again, RepeatedHessian)
    assert torch.equal(again.product(v), after.product(v))


def test_shapes_are_recorded_apart(build: Build) -> None:
    trainer = Trainer([build()])
    hessians = RecordedHessians()
    for seed in range(2 * (FIRST + 1 + CHECKED) + 4):
        theta, x, y = points(trainer, 1, seed)
        size = BATCH if seed % 2 else BATCH - 5
        mine = hessians.at(trainer.objective, theta, x[:, :size], y[:, :size])
        its = batch_hessian(trainer.objective, theta, x[:, :size], y[:, :size])
        assert torch.equal(mine.product(theta), its.product(theta))
    assert isinstance(mine, RepeatedHessian)
    assert len(hessians._recordings) == 2


def test_a_recording_with_other_products_is_not_used(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = _Recording.product
    monkeypatch.setattr(_Recording, "product", lambda self, v: right(self, v).mul_(1.0 + 2.0**-20))
    trainer = Trainer([build()])
    hessians = RecordedHessians()
    for seed in range(3 * FIRST):
        theta, x, y = points(trainer, 1, seed)
        mine = hessians.at(trainer.objective, theta, x, y)
        its = batch_hessian(trainer.objective, theta, x, y)
        assert torch.equal(mine.product(theta), its.product(theta))
        assert torch.equal(mine.along(theta), its.along(theta))
    assert isinstance(mine, WrittenOutHessian)


@pytest.mark.parametrize("kind", ["product", "along"])
def test_what_was_not_requested_before_is_compared_when_it_is(
    build: Build, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """After many of the other kind, results go wrong, as those that were never right would."""
    trainer = Trainer([build()])
    hessians = RecordedHessians()
    for seed in range(3 * FIRST):
        theta, x, y = points(trainer, 1, seed)
        hessian = hessians.at(trainer.objective, theta, x, y)
        (hessian.along if kind == "product" else hessian.product)(theta)
    assert isinstance(hessian, RepeatedHessian)
    recording = hessian._recording
    owner = recording if kind == "product" else recording.point
    right: Any = getattr(owner, kind)
    monkeypatch.setattr(owner, kind, lambda v: right(v) * (1.0 + 2.0**-20))
    for seed in range(5):
        theta, x, y = points(trainer, 1, seed)
        mine = hessians.at(trainer.objective, theta, x, y)
        its = batch_hessian(trainer.objective, theta, x, y)
        assert torch.equal(getattr(mine, kind)(theta), getattr(its, kind)(theta))
    assert isinstance(mine, WrittenOutHessian)


@pytest.mark.parametrize(
    "tables",
    [
        {"model": {"name": "mlp", "hidden": [4], "batch_norm": True}},
        {"model": {"name": "cnn"}, "dataset": {"name": "digits"}},
    ],
    ids=["normalized", "convolutions"],
)
def test_what_is_not_written_out_is_not_recorded(build: Build, tables: dict[str, Any]) -> None:
    trainer = Trainer([build(**tables)])
    hessians = RecordedHessians()
    for seed in range(FIRST + 3):
        theta, x, y = points(trainer, 1, seed)
        assert not isinstance(hessians.at(trainer.objective, theta, x, y), RepeatedHessian)
    assert not hessians._recordings


def test_large_hessians_are_not_recorded(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_hessians, "_VALUES", 10)
    trainer = Trainer([build()])
    hessians = RecordedHessians()
    taught(hessians, trainer, 1)
    assert not isinstance(hessians.at(trainer.objective, *points(trainer, 1, 0)), RepeatedHessian)


def test_a_hyperparameter_that_changes_at_each_step_is_not_recorded_for_ever(build: Build) -> None:
    trainer = Trainer([build(loss={"name": "cross_entropy", "l2": 0.1})])
    hessians = RecordedHessians()
    objective = trainer.objective
    made = 0
    for seed in range(10 * FIRST):
        objective.set_losses([objective.loss.model_copy(update={"l2": 0.1 + seed})])  # type: ignore[union-attr]
        theta, x, y = points(trainer, 1, seed)
        mine = hessians.at(objective, theta, x, y)
        assert torch.equal(
            mine.product(theta), batch_hessian(objective, theta, x, y).product(theta)
        )
        made = hessians._made
    assert made <= recorded_hessians._RECORDINGS + 1


READINGS: dict[str, dict[str, Any]] = {
    "the batch": {},
    "examples that stay": {"examples": 20},
    "both ends": {"bottom": 2, "top": 2},
}


@pytest.mark.parametrize("values", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("runs", [1, 2])
def test_an_instrument_reads_the_same(
    build: Build, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], runs: int
) -> None:
    """The eigenvalues of a run that is trained; the last batch of an epoch is smaller."""
    experiments = [
        build(
            seed=seed,
            model={"name": "mlp", "hidden": [5], "activation": "tanh"},
            loss={"name": "cross_entropy", "l2": 0.01},
        )
        .with_instrument("spectrum", {"every": 1, **values})
        .with_instrument("conditioning", {"every": 2})
        for seed in range(runs)
    ]
    read: list[dict[str, Any]] = []
    used: list[bool] = []
    for first in (FIRST, 10**9):
        monkeypatch.setattr(recorded_hessians, "FIRST", first)
        trainer = Trainer(experiments)
        for _ in range(60):
            trainer.advance()
        used.append(bool(trainer._surroundings.hessians._recordings))
        read.append(trainer.recorder.flush())
    assert used == [True, False]
    assert read[0].keys() == read[1].keys()
    assert any("eigenvalue" in name or "spectrum" in name for name in read[0])
    for name, series in read[0].items():
        np.testing.assert_array_equal(series.values, read[1][name].values, err_msg=name)


def test_values_that_are_stored_once_are_copied_once() -> None:
    base = torch.arange(6.0).view(2, 3)
    given = base.expand(4, 2, 3)
    copy = copy_of(given)
    assert copy.stride() == given.stride()
    assert torch.equal(copy, given)
    refill(copy, (base * 2).expand(4, 2, 3))
    assert torch.equal(copy, 2 * given)
    assert torch.equal(base, torch.arange(6.0).view(2, 3))


def test_a_computation_that_writes_to_what_is_not_its_own_is_refused() -> None:
    outside, x = torch.zeros(3), torch.ones(3)
    with recorded() as calls:
        outside.add_(x)
    with pytest.raises(recorded_hessians.NotRepeatable, match="not the computation's own"):
        repeated_calls(calls, [x])


def test_constants_that_are_written_to_are_made_again() -> None:
    x = torch.ones(3)
    with recorded() as calls:
        total = torch.zeros(3)
        total.add_(x)
        scaled = total * torch.full((3,), 2.0)
    functions = repeated_calls(calls, [x])
    for value in (5.0, 7.0):
        x.fill_(value)
        for function in functions:
            function()
        assert torch.equal(scaled, torch.full((3,), 2 * value))


def test_a_model_that_looks_at_values_is_computed_as_usual(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer([build()])
    usual = WrittenOutHessian.product_of_loss

    def looking(self: WrittenOutHessian, v: torch.Tensor) -> torch.Tensor:
        assert float(v.sum()) != 0.0
        return usual(self, v)

    monkeypatch.setattr(WrittenOutHessian, "product_of_loss", looking)
    hessians = RecordedHessians()
    taught(hessians, trainer, 1)
    theta, x, y = points(trainer, 1, 3)
    assert isinstance(hessians.at(trainer.objective, theta, x, y), WrittenOutHessian)
    assert not hessians._recordings


def test_a_landscape_takes_them(build: Build) -> None:
    trainer = Trainer([build()])
    hessians = RecordedHessians()
    taught(hessians, trainer, 1)
    theta, x, y = points(trainer, 1, 3)
    landscape = ObjectiveLandscape(trainer.objective, x, y, hessians=hessians.at)
    assert isinstance(landscape.hessian(theta), RepeatedHessian)
    plain = ObjectiveLandscape(trainer.objective, x, y)
    assert torch.equal(landscape.hessian(theta).product(theta), plain.hessian(theta).product(theta))
