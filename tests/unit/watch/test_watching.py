"""A watched loop trains as it does unwatched, and what is recorded of it is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.unit.watch.conftest import Start, batch, mlp


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
