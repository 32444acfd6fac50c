"""A watched loop trains as it does unwatched, and what is recorded of it is true."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import _global_optimizer_pre_hooks

import optlab
from optlab.watch import rows as rows_module
from tests.unit.watch.conftest import batch, mlp

Start = Callable[..., Any]


class _Unwatched:
    def log(self, **values: Any) -> None: ...

    def probe(self, *arguments: Any, **options: Any) -> None: ...

    def detach(self) -> None: ...


def plain(start: Start) -> list[torch.Tensor]:
    model = mlp(drop=0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watcher = start(model, optimizer)
    x, y = batch()
    for _ in range(12):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        watcher.log(loss=loss)
    watcher.detach()
    return list(model.parameters())


def clipped_and_accumulated(start: Start) -> list[torch.Tensor]:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watcher = start(model, optimizer)
    for step in range(10):
        for part in range(3):
            x, y = batch(3 * step + part)
            (cross_entropy(model(x), y) / 3).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        optimizer.zero_grad(set_to_none=step % 2 == 0)
    watcher.detach()
    return list(model.parameters())


def probed(start: Start) -> list[torch.Tensor]:
    model = mlp(norm=True, drop=0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = start(model, optimizer)
    x, y = batch()
    watcher.probe(lambda: cross_entropy(model(x), y), every=3, slice=5)
    watcher.probe(lambda: cross_entropy(model(x), y, reduction="none"), every=4)
    for step in range(9):
        model.train(step % 4 != 3)
        loss = cross_entropy(model(x[torch.randperm(32)[:16]]), y[:16])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    watcher.detach()
    return [*model.parameters(), *model.buffers(), torch.rand(3)]


def two_optimizers(start: Start) -> list[torch.Tensor]:
    generator, critic = mlp(seed=1), mlp(seed=2)
    for_generator = torch.optim.Adam(generator.parameters(), lr=1e-3)
    for_critic = torch.optim.RMSprop(critic.parameters(), lr=1e-3)
    watcher = start(
        {"generator": generator, "critic": critic},
        {"generator": for_generator, "critic": for_critic},
    )
    x, _ = batch()
    for _ in range(8):
        fake = generator(x).repeat(1, 2)
        for_critic.zero_grad()
        (critic(fake.detach()).mean() - critic(x).mean()).backward()
        for_critic.step()
        for_generator.zero_grad()
        (-critic(fake).mean()).backward()
        for_generator.step()
    watcher.detach()
    return [*generator.parameters(), *critic.parameters()]


def scaled(start: Start) -> list[torch.Tensor]:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    watcher = start(model, optimizer)
    x, y = batch()
    for step in range(8):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y) * (float("inf") if step == 4 else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    watcher.detach()
    return list(model.parameters())


def with_a_closure(start: Start) -> list[torch.Tensor]:
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    watcher = start(model, optimizer)
    x, y = batch()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
    watcher.detach()
    return list(model.parameters())


def half_precision(start: Start) -> list[torch.Tensor]:
    model = mlp().bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    watcher = start(model)
    x, y = batch()
    for _ in range(6):
        optimizer.zero_grad()
        cross_entropy(model(x.bfloat16()), y).backward()
        optimizer.step()
    watcher.detach()
    return list(model.parameters())


LOOPS = [
    plain,
    clipped_and_accumulated,
    probed,
    two_optimizers,
    scaled,
    with_a_closure,
    half_precision,
]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    watchers = []

    def begin(*arguments: Any, **options: Any) -> Any:
        options = {"folder": tmp_path / "runs", "every": 1, **options}
        watchers.append(optlab.watch(*arguments, **options))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher.detach()


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("loop", LOOPS)
def test_that_the_weights_are_bit_identical_with_and_without(
    loop: Callable[[Start], list[torch.Tensor]], every: int, start: Start, capfd: Any
) -> None:
    torch.manual_seed(5)
    alone = loop(lambda *_arguments, **_options: _Unwatched())
    torch.manual_seed(5)
    watched = loop(lambda *arguments: start(*arguments, every=every))
    assert all(torch.equal(one, other) for one, other in zip(alone, watched, strict=True))
    assert capfd.readouterr().err == ""


# --- what is recorded ------------------------------------------------------------------------------


def test_that_the_gradient_norm_is_that_before_clipping(start: Start, recorded: Any) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    before, after = [], []
    for step in range(1, 6):
        optimizer.zero_grad()
        x, y = batch(step)
        cross_entropy(model(x), y).backward()
        before.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)))
        after.append(float(torch.nn.utils.get_total_norm(p.grad for p in model.parameters())))
        optimizer.step()
    watcher.detach()
    values = recorded(watcher)
    assert list(values["gradient_norm"].values()) == pytest.approx(before, rel=1e-5)
    assert list(values["applied_gradient_norm"].values()) == pytest.approx(after, rel=1e-5)
    assert before[0] > 2 * after[0]


def test_that_of_accumulated_gradients_the_sum_counts(start: Start, recorded: Any) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    for part in range(4):
        x, y = batch(part)
        cross_entropy(model(x), y).backward()
    whole = float(torch.nn.utils.get_total_norm(p.grad for p in model.parameters()))
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    optimizer.step()
    watcher.detach()
    assert recorded(watcher)["gradient_norm"] == {1: pytest.approx(whole, rel=1e-5)}


def test_that_updates_are_measured_against_weights_tensor_by_tensor(
    start: Start, recorded: Any
) -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watcher = start(model, optimizer)
    x, y = batch()
    expected = []
    for _ in range(3):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        expected.append(
            {
                name: float((p.detach() - before[name]).norm() / p.detach().norm())
                for name, p in model.named_parameters()
            }
        )
    watcher.detach()
    ratios = recorded(watcher)["update_ratio_by_tensor"]
    for step, of_tensors in enumerate(expected, start=1):
        assert ratios[step] == pytest.approx(of_tensors, rel=1e-4)


def test_that_large_tensors_are_measured_by_evenly_spaced_elements(
    start: Start, recorded: Any
) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(700, 500, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    model(torch.randn(8, 700)).square().mean().backward()
    before = model.weight.detach().clone()
    optimizer.step()
    watcher.detach()
    values = recorded(watcher)
    assert values["update_norm"][1] == pytest.approx(
        float((model.weight.detach() - before).norm()), rel=0.02
    )
    assert values["weight_norm"][1] == pytest.approx(float(model.weight.detach().norm()), rel=0.02)
    assert values.run.identity.tensors[0].estimated


def test_that_updates_that_the_precision_loses_are_counted(start: Start, recorded: Any) -> None:
    model = mlp().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    watcher = start(model, optimizer)
    x, y = batch()
    cross_entropy(model(x.bfloat16()), y).backward()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    watcher.detach()
    share = recorded(watcher)["lost_share_by_tensor"][1]
    for name, p in model.named_parameters():
        pushed = p.grad != 0
        lost = float((pushed & (p == before[name])).sum() / pushed.sum())
        assert share[name] == pytest.approx(lost, abs=1e-6)
    assert max(share.values()) > 0.3


def test_that_second_moments_are_compared_with_the_gradient(start: Start, recorded: Any) -> None:
    model = torch.nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    watcher = start(model, optimizer)
    squares = []
    for step in range(4):
        model.weight.grad = torch.full_like(model.weight, 3.0 if step == 3 else 1.0)
        squares.append(float(model.weight.grad.square().mean()))
        optimizer.step()
    watcher.detach()
    surprise = recorded(watcher)["gradient_surprise"]
    # Squares of 1 so far: their moving average, without its bias, is 1.
    assert surprise == {2: pytest.approx(1.0), 3: pytest.approx(1.0), 4: pytest.approx(9.0)}


def test_that_a_scaler_is_found_and_norms_are_unscaled(start: Start, recorded: Any) -> None:
    torch.manual_seed(5)
    watchers: list[Any] = []

    def begin(*arguments: Any) -> Any:
        watchers.append(start(*arguments))
        return watchers[-1]

    scaled(begin)
    values = recorded(watchers[0])
    model = mlp()
    x, y = batch()
    cross_entropy(model(x), y).backward()
    norm = float(torch.nn.utils.get_total_norm(p.grad for p in model.parameters()))
    assert values["gradient_norm"][1] == pytest.approx(norm, rel=1e-5)
    # The fifth of eight steps was skipped, which halved the scale.
    assert list(values["amp_scale"].values()) == [1024.0] * 4 + [512.0] * 3
    assert list(values["amp_skipped_steps"].values()) == [0.0] * 4 + [1.0] * 3
    assert values.events("non_finite") == []


def test_that_each_optimizer_has_series_of_its_own(start: Start, recorded: Any) -> None:
    watchers: list[Any] = []

    def begin(*arguments: Any) -> Any:
        watchers.append(start(*arguments))
        return watchers[-1]

    two_optimizers(begin)
    values = recorded(watchers[0])
    assert len(values["update_norm/critic"]) == len(values["update_norm/generator"]) == 8
    names = set(values["gradient_norm_by_tensor/critic"][1])
    assert names == {f"critic.{part}" for part in ("0.weight", "0.bias", "3.weight", "3.bias")}


def test_that_rates_and_times_of_every_step_are_recorded(start: Start, recorded: Any) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    watcher = start(model, optimizer, every=1000)
    for _ in range(6):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        schedule.step()
    watcher.detach()
    values = recorded(watcher)
    assert values["lr"] == {step: 0.5 ** (step - 1) for step in range(1, 7)}
    times = values["seconds"]
    assert list(times) == [1, 2, 3, 4, 5, 6] and list(times.values()) == sorted(times.values())


def test_that_a_compiled_model_has_the_names_of_the_plain_one(start: Start, recorded: Any) -> None:
    model = torch.compile(mlp(), backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    x, y = batch()
    norms = []
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        norms.append(float(torch.nn.utils.get_total_norm(p.grad for p in model.parameters())))
        optimizer.step()
    watcher.detach()
    values = recorded(watcher)
    assert set(values["gradient_norm_by_tensor"][1]) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    assert list(values["gradient_norm"].values()) == pytest.approx(norms, rel=1e-5)


def test_that_a_step_without_an_optimizer_is_watched(start: Start, recorded: Any) -> None:
    model = mlp()
    watcher = start(model)
    x, y = batch()
    for _ in range(3):
        cross_entropy(model(x), y).backward()
        with watcher.step(), torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.1 * parameter.grad)
                parameter.grad = None
    watcher.detach()
    values = recorded(watcher)
    update, gradient = values["update_norm"], values["gradient_norm"]
    assert update == pytest.approx({step: 0.1 * norm for step, norm in gradient.items()}, rel=1e-4)


def test_that_the_first_tensor_that_is_not_finite_is_named(start: Start, recorded: Any) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher = start(model, optimizer)
    x, y = batch()
    for step in range(1, 6):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        if step == 3:
            model[3].weight.grad[0, 0] = float("nan")
        watcher.log(loss=loss)
        optimizer.step()
    watcher.detach()
    events = {event["what"]: event for event in recorded(watcher).events("non_finite")}
    # The gradient is altered after the hooks have seen it: the weights show it first.
    assert events["weights"]["step"] == 3 and events["weights"]["tensor"] == "3.weight"
    assert events["weights"]["finite_at"] == 2
    assert events["gradient"]["step"] == 4 and events["gradient"]["tensors"] == 4
    assert events["loss"]["step"] == 3


# --- what never happens ----------------------------------------------------------------------------


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
