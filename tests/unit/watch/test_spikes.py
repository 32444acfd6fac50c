"""After a jump of the loss, the cause that was put into the loop is the one that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import optlab
from optlab.watch.digest import Digest
from optlab.watch.rows import Column, Packed
from optlab.watch.spikes import SpikeInspector, is_training_loss
from optlab.watch.tensors import named_tensors

AT = 80
"""The step at which something happens."""


class Loop:
    """A regression with noise; ``disturb`` gets the loop and the step before each step."""

    def __init__(self, optimizer: str = "SGD", dtype: torch.dtype = torch.float32, **options: Any):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
        ).to(dtype)
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), **options)
        self.x = torch.randn(400, 8)
        self.y = self.x[:, :1].sin() + 0.1 * torch.randn(400, 1)
        self.clean = self.y.clone()
        self.dtype = dtype

    def run(self, folder: Path, disturb: Callable[[Loop, int], None], steps: int = 120) -> Any:
        draw = np.random.default_rng(0)
        with optlab.watch(self.model, self.optimizer, folder=folder, every=1) as watcher:
            for step in range(1, steps + 1):
                rows = torch.from_numpy(draw.integers(0, 400, 64))
                self.optimizer.zero_grad()
                self.scale = 1.0
                disturb(self, step)
                found = self.model(self.x[rows].to(self.dtype)).float()
                loss = (found - self.y[rows]).square().mean()
                (loss * self.scale).backward()
                self.optimizer.step()
                watcher.log(loss=loss, batch=rows)
        return watcher


def causes(recorded: Any, watcher: Any) -> dict[str, str]:
    (spike,) = recorded(watcher).events("spike")
    assert AT <= spike["step"] <= AT + 3 and spike["series"] == "loss"
    return {cause["cause"]: cause["because"] for cause in spike["causes"]}


def test_that_a_quiet_loop_has_no_jump(tmp_path: Path, recorded: Any) -> None:
    watcher = Loop(lr=0.05).run(tmp_path, lambda _loop, _step: None, 300)
    assert recorded(watcher).events("spike") == []


def test_that_a_bad_batch_is_named_with_its_examples(tmp_path: Path, recorded: Any) -> None:
    def disturb(loop: Loop, step: int) -> None:
        loop.y = loop.clean + (30.0 if step == AT else 0.0)

    watcher = Loop("SGD", lr=1e-4).run(tmp_path, disturb)
    found = causes(recorded, watcher)
    (spike,) = recorded(watcher).events("spike")
    draw = np.random.default_rng(0)
    batches = [draw.integers(0, 400, 64) for _ in range(AT)]
    assert list(found) == ["batch"] and f"step {AT}" in found["batch"]
    assert spike["returned"] and spike["batch"] == batches[-1].tolist()
    assert f"examples {batches[-1][0]}, " in found["batch"]


def test_that_a_rate_that_rose_is_named(tmp_path: Path, recorded: Any) -> None:
    def disturb(loop: Loop, step: int) -> None:
        loop.optimizer.param_groups[0]["lr"] = 3.0 if step >= AT - 1 else 0.02

    found = causes(recorded, Loop("SGD", lr=0.02).run(tmp_path, disturb))
    assert next(iter(found)) == "rate" and "batch" not in found
    assert "from 0.02 to 3" in found["rate"]


def test_that_second_moments_that_are_too_small_are_named(tmp_path: Path, recorded: Any) -> None:
    def disturb(loop: Loop, step: int) -> None:
        # The gradient was tiny for long; with the old second moments the step is far too long.
        loop.scale = 1.0 if step >= AT else 1e-9

    loop = Loop("Adam", lr=1e-2, betas=(0.0, 0.9999), eps=1e-15)
    found = causes(recorded, loop.run(tmp_path, disturb))
    assert "second moment" in found and "rate" not in found
    assert "beta2" in found["second moment"]


def test_that_one_layer_is_named(tmp_path: Path, recorded: Any) -> None:
    def disturb(loop: Loop, step: int) -> None:
        if step == AT:  # large weights behind: only the gradient of those before them grows
            with torch.no_grad():
                loop.model[2].weight *= 100.0

    found = causes(recorded, Loop("SGD", lr=1e-6).run(tmp_path, disturb))
    assert "one layer" in found and "0.weight" in found["one layer"] and "batch" not in found


def test_that_precision_is_named(tmp_path: Path, recorded: Any) -> None:
    def disturb(loop: Loop, step: int) -> None:
        if step == AT:
            with torch.no_grad():
                loop.model[2].weight *= 1e4

    # Squares of this size overflow half precision's range in the backward pass.
    loop = Loop("SGD", dtype=torch.float16, lr=1e-4)
    found = causes(recorded, loop.run(tmp_path, disturb))
    assert "precision" in found


def test_that_a_rate_beyond_the_curvature_is_named() -> None:
    inspector = SpikeInspector(["w"])
    steps = np.arange(1, 101)
    inspector.add_numbers("lr", steps, np.full(100, 0.5))
    inspector.add_numbers("top_eigenvalue", steps[49:50], np.array([20.0]))
    inspector.add_numbers("loss", steps, np.where(steps > 90, 9.0, 1.0))
    (event,) = inspector.look(final=True)[1]
    assert [cause["cause"] for cause in event["causes"]] == ["rate"]
    assert "is 10" in event["causes"][0]["because"] and event["returned"] is False


def test_that_a_loss_that_stays_higher_jumps_once() -> None:
    inspector = SpikeInspector(["w"])
    steps = np.arange(1, 1001)
    inspector.add_numbers("train_loss", steps, np.where(steps > 500, 9.0, 1.0))
    assert [event["step"] for event in inspector.look(final=True)[1]] == [501]


def test_that_jumps_are_looked_for_in_losses_of_training() -> None:
    assert is_training_loss("loss") and is_training_loss("train/loss_G")
    assert not any(map(is_training_loss, ("val_loss", "test/loss", "probe_loss", "accuracy")))


def test_that_numbers_for_each_tensor_are_thinned_and_totals_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optlab.watch.digest.ALLOWANCE", 5_000)
    tensors = named_tensors({"": torch.nn.Linear(3, 4)})
    digest = Digest(tensors, lambda: None)
    column = Column("reading_by_tensor", ((0, 2),))
    norms, unknown = torch.tensor([3.0, 4.0]), torch.full((2 * 6 + 3,), -1.0)
    rows = [(column, step, torch.cat([norms, unknown])) for step in range(1, 1001)]
    stored = {part.name: part for part in digest.add(Packed(rows))[0]}
    assert stored["gradient_norm"].values[:, 0].tolist() == [5.0] * 1000
    assert len(stored["gradient_norm_by_tensor"].steps) == pytest.approx(208, abs=5)
