"""A watched loop waits for nothing, and no failure of the watching reaches it."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import _global_optimizer_pre_hooks

import optlab
from optlab.watch import rows as rows_module
from tests.unit.watch.conftest import Start, batch, mlp


class Remote(torch.Tensor):
    """A tensor that cannot be read by the thread of the loop, as if reading would wait."""

    loop = 0


READING = ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__index__")


def _refusing(name: str) -> Any:
    original = getattr(torch.Tensor, name)

    def refuse(self: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if threading.get_ident() == Remote.loop:
            raise AssertionError("the loop has waited for a device")
        return original(self, *arguments, **options)

    return refuse


for _name in READING:
    setattr(Remote, _name, _refusing(_name))


def test_that_the_loop_never_waits_for_a_device(
    start: Start, recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Remote, "loop", threading.get_ident())
    model = mlp()
    for part in (model[0], model[3]):
        for name, parameter in list(part.named_parameters()):
            setattr(part, name, torch.nn.Parameter(parameter.detach().as_subclass(Remote)))
    assert all(isinstance(parameter, Remote) for parameter in model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=False)
    watcher = start(model, optimizer)
    x, y = batch()
    for name in READING:  # gradients are of the plain class
        monkeypatch.setattr(torch.Tensor, name, getattr(Remote, name))
    for _ in range(4):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        assert isinstance(loss, Remote)
        with pytest.raises(AssertionError, match="waited"):
            loss.item()
        loss.backward()
        optimizer.step()
        watcher.log(loss=loss, batch=torch.arange(32).as_subclass(Remote))
    watcher.detach()
    values = recorded(watcher)
    assert len(values["loss"]) == len(values["gradient_norm"]) == len(values["lost_share"]) == 4


def test_that_values_of_a_device_are_packed_and_copied_without_waiting(
    start: Start, recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: nothing is handed to the writer before its event has happened."""

    class Event:
        done = False

        def query(self) -> bool:
            return Event.done

        def synchronize(self) -> None:
            Event.done = True

    monkeypatch.setattr(rows_module, "is_remote", lambda _tensor: True)
    monkeypatch.setattr(rows_module, "_recorded", lambda _device: Event())
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    given: list[Any] = []
    writer = watcher._writer
    monkeypatch.setattr(writer, "give", given.append)
    x, y = batch()
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        watcher.log(loss=loss)
        losses.append(float(loss.detach()))
        watcher._flush_at = 0.0
    assert given == []
    monkeypatch.undo()
    watcher.detach()
    values = recorded(watcher)
    assert list(values["loss"].values()) == pytest.approx(losses)
    assert len(values["gradient_norm_by_tensor"]) == 3


@pytest.mark.parametrize("setting", [("OPTLAB_WATCH", "0"), ("RANK", "3")])
def test_that_nothing_is_watched_where_it_is_off_or_another_process_watches(
    setting: tuple[str, str], start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*setting)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with start(model, optimizer) as watcher:
        watcher.log(loss=1.0)
        watcher.probe(lambda: torch.tensor(0.0))
        optimizer.step()
    assert watcher.folder is None and not (tmp_path / "runs").exists()
    assert not optimizer._optimizer_step_post_hooks and not model[0].weight._backward_hooks


def test_that_detaching_leaves_no_hook(start: Start) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with start(model, optimizer):
        assert optimizer._optimizer_step_post_hooks and optimizer._optimizer_step_pre_hooks
        assert model[0].weight._post_accumulate_grad_hooks
    with start(model):
        pass
    assert not optimizer._optimizer_step_post_hooks and not optimizer._optimizer_step_pre_hooks
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())
    assert not _global_optimizer_pre_hooks


def test_that_no_failure_reaches_the_loop_and_each_is_said_once(
    start: Start, recorded: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    watcher.probe(lambda: 1 / 0, every=1)
    x, y = batch()

    def step() -> None:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        watcher.log(loss=loss, bad="text", vector=torch.zeros(3))

    for _ in range(3):
        step()
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 3, said
    assert all(line.startswith("optlab.watch: ") for line in said)
    assert any("ZeroDivisionError" in line for line in said)

    def broken(*_arguments: Any) -> None:
        raise RuntimeError("a defect of the watcher")

    monkeypatch.setattr(watcher._main, "attend", broken)
    for _ in range(3):
        step()
    (line,) = capfd.readouterr().err.splitlines()
    assert "Watching has stopped, and your program goes on" in line
    values = recorded(watcher)
    assert values.run.status == "failed" and "a defect" in values.run.state["reason"]
    log = (watcher.folder / "watch.log").read_text()
    assert "ZeroDivisionError" in log and "a defect of the watcher" in log and "Traceback" in log


def test_that_a_folder_that_cannot_be_made_costs_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    watcher = optlab.watch(mlp(), folder=tmp_path / "file" / "runs")
    watcher.log(loss=1.0)
    watcher.detach()
    wrong = optlab.watch("no model", folder=tmp_path)
    wrong.log(loss=1.0)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and "NotADirectoryError" in lines[0] and "torch.nn.Module" in lines[1]


def test_that_a_full_disk_loses_values_and_nothing_else(
    start: Start, recorded: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    model = mlp()
    watcher = start(model, torch.optim.SGD(model.parameters(), lr=0.1))
    write = os.write
    full = threading.Event()

    def limited(handle: int, content: Any) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr(os, "write", limited)
    watcher.log(step=1, value=1.0)
    watcher._flush()
    full.set()
    watcher.log(step=2, value=2.0)
    watcher._flush()
    writer = watcher._writer
    for _ in range(200):
        if writer.lost:
            break
        threading.Event().wait(0.01)
    full.clear()
    watcher.log(step=3, value=3.0)
    watcher.detach()
    values = recorded(watcher)
    assert 2 not in values["value"] and values["value"][3] == 3.0
    assert values.run.state["lost"] >= 1
    assert "No space left" in capfd.readouterr().err


def test_that_a_run_ends_with_its_model(start: Start, tmp_path: Path, recorded: Any) -> None:
    model = mlp()
    watcher = optlab.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), folder=tmp_path)
    watcher.log(loss=1.0)
    (folder,) = tmp_path.iterdir()
    thread = watcher._writer._thread
    del watcher
    gc.collect()
    assert thread.is_alive(), "the model lives"
    del model
    gc.collect()
    thread.join(5.0)
    assert not thread.is_alive()
    run = type("Watcher", (), {"folder": folder})
    assert recorded(run).run.status == "finished"


if hasattr(os, "fork"):

    def test_that_a_copy_of_the_process_records_nothing(start: Start, recorded: Any) -> None:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watcher = start(model, optimizer)

        def step() -> None:
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            watcher.log(loss=1.0)

        step()
        watcher._flush()
        child = os.fork()
        if child == 0:
            try:
                watcher._flush_at = 0.0
                step()
                watcher.detach()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        step()
        watcher.detach()
        assert len(recorded(watcher)["loss"]) == 2
