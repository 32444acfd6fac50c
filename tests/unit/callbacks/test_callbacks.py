"""The callbacks against stand-ins with the interfaces of the libraries.

``make test-foreign`` runs them in the real ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

import optlab
from optlab.outside.foreign_runs.records import ForeignRun
from optlab.outside.foreign_runs.watched import find_runs, open_run


def read(folder: Path) -> ForeignRun:
    (place,) = find_runs(folder)
    run = open_run(place)
    run.read()
    return run


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules of the libraries' names with their base classes."""

    class Callback:
        def set_model(self, model: Any) -> None:
            self.model = model

    named = {
        "lightning": {},
        "lightning.pytorch": {},
        "lightning.pytorch.callbacks": {"Callback": type("Callback", (), {})},
        "transformers": {"TrainerCallback": type("TrainerCallback", (), {})},
        "keras": {"callbacks": SimpleNamespace(Callback=Callback)},
    }
    own = ("lightning", "hugging_face", "keras")
    for name, values in named.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    for name in own:
        monkeypatch.delitem(sys.modules, f"optlab.callbacks.{name}", raising=False)
    yield
    for name in own:
        sys.modules.pop(f"optlab.callbacks.{name}", None)


class Trained:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = self.model(torch.ones(2, 3)).square().mean()
        loss.backward()
        self.optimizer.step()
        return loss


@pytest.mark.usefixtures("libraries")
def test_that_lightning_is_watched_from_fit_to_its_end(tmp_path: Path) -> None:
    callback = optlab.callbacks.LightningWatch(folder=tmp_path, every=1)
    trained = Trained()
    trainer = SimpleNamespace(
        is_global_zero=True,
        sanity_checking=False,
        callback_metrics={"val_loss": torch.tensor(2.0), "loss": torch.tensor(9.0)},
    )
    callback.on_fit_start(trainer, trained.model)
    losses = []
    for number in range(3):
        losses.append(trained.step())
        callback.on_train_batch_end(trainer, trained.model, {"loss": losses[-1]}, None, number)
    callback.on_validation_end(trainer, trained.model)
    callback.on_fit_end(trainer, trained.model)
    run = read(tmp_path)
    assert run.last("loss") == (3, 3, [pytest.approx(float(losses[-1].detach()))])
    assert run.last("val_loss") == (1, 3, [2.0]) and run.last("update_norm")[0] == 3
    assert run.status == "finished"


@pytest.mark.usefixtures("libraries")
def test_that_lightning_says_why_it_ended(tmp_path: Path) -> None:
    callback = optlab.callbacks.LightningWatch(folder=tmp_path)
    trained = Trained()
    callback.on_fit_start(SimpleNamespace(is_global_zero=True), trained.model)
    callback.on_exception(None, trained.model, ValueError("no such batch"))
    run = read(tmp_path)
    assert run.status == "failed" and run.state["reason"] == "ValueError: no such batch"
    other = optlab.callbacks.LightningWatch(folder=tmp_path / "other")
    other.on_fit_start(SimpleNamespace(is_global_zero=False), trained.model)
    other.on_fit_end(None, trained.model)
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("libraries")
def test_that_hugging_face_is_watched(tmp_path: Path) -> None:
    callback = optlab.callbacks.HuggingFaceWatch(folder=tmp_path, every=1)
    trained = Trained()
    state = SimpleNamespace(is_world_process_zero=True)
    callback.on_train_begin(None, state, None, model=trained.model)
    for _ in range(2):
        trained.step()
        callback.on_log(None, state, None, logs={"loss": 0.25, "step": 7, "note": "text"})
    callback.on_train_end(None, state, None)
    run = read(tmp_path)
    assert run.last("loss") == (2, 2, [0.25]) and run.last("gradient_norm")[0] == 2
    assert "step" not in run.series and "note" not in run.series


@pytest.mark.usefixtures("libraries")
def test_that_the_optimizers_of_keras_are_watched_and_given_back(tmp_path: Path) -> None:
    class Optimizer:
        def apply(self, gradients: Any, variables: Any) -> str:
            with torch.no_grad():
                for gradient, variable in zip(gradients, variables, strict=True):
                    variable.sub_(0.5 * gradient)
            return "applied"

    trained = Trained()
    model = trained.model
    model.optimizer = Optimizer()
    callback = optlab.callbacks.KerasWatch(folder=tmp_path, every=1)
    callback.set_model(model)
    callback.on_train_begin()
    for number in range(3):
        model.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        assert model.optimizer.apply(gradients, list(model.parameters())) == "applied"
        callback.on_train_batch_end(number, {"loss": 0.5})
    callback.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
    callback.on_train_end()
    assert "apply" not in vars(model.optimizer)
    run = read(tmp_path)
    update, gradient = run.last("update_norm"), run.last("gradient_norm")
    assert update[0] == gradient[0] == 3
    assert update[2][0] == pytest.approx(0.5 * gradient[2][0], rel=1e-4)
    assert run.last("val_loss") == (1, 3, [0.75]) and run.status == "finished"


def test_that_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "optlab.callbacks.hugging_face", raising=False)
    with pytest.raises(ImportError, match="pip install transformers"):
        _ = optlab.callbacks.HuggingFaceWatch
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = optlab.callbacks.Nonsense
