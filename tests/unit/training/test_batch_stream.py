"""Batches: every example once an epoch, and any step's batch named directly."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from optlab.catalogue.batches.base import Batches
from optlab.core import registry
from optlab.objective.run_examples import RunExamples
from optlab.objective.seeding import generator
from optlab.training import batches as module
from optlab.training.batches import BatchStream, Segment

N = 23


def stream(*orders: Batches, seeds: tuple[int, ...] = (0,)) -> BatchStream:
    x = torch.arange(N, dtype=torch.float64).unsqueeze(1)
    return BatchStream(RunExamples(x, torch.arange(N)), orders, seeds, [draw])


def draw(seed: int, purpose: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers that a seed and a purpose name, in place of a data set's examples."""
    y = torch.randint(10**9, (n,), generator=generator(seed, purpose))
    return y.double().unsqueeze(1), y


def order(name: str, size: int) -> Any:
    return registry.build("batches", {"name": name, "size": size})


NAMES = registry.names("batches")
COVERING = [
    component.name
    for component in registry.components("batches")
    if cast(type[Batches], component).covers
]


@pytest.mark.parametrize("name", COVERING)
@pytest.mark.parametrize("size", [1, 5, 23, 40])
def test_that_an_epoch_holds_every_example_exactly_once(name: str, size: int) -> None:
    found = stream(order(name, size))
    for epoch in range(3):
        steps = range(epoch * found.steps_per_epoch, (epoch + 1) * found.steps_per_epoch)
        batches = [found.at(step) for step in steps]
        seen = torch.cat([y[0] for _, y in batches]).tolist()
        assert sorted(seen) == list(range(N))
        assert all(torch.equal(x[0, :, 0], y[0].double()) for x, y in batches)


def test_that_the_last_batch_of_an_epoch_holds_the_remaining_examples() -> None:
    found = stream(order("shuffled", 5))
    assert found.steps_per_epoch == 5
    assert [found.at(step)[1].shape[1] for step in range(6)] == [5, 5, 5, 5, 3, 5]


def test_that_size_zero_is_the_full_set() -> None:
    found = stream(order("shuffled", 0))
    assert found.steps_per_epoch == 1
    assert found.at(7)[0].shape == (1, N, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("held", [1, 40, 10**6])
def test_that_the_batch_of_a_step_does_not_depend_on_earlier_batches(
    name: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [stream(order(name, 4)).at(step)[1].clone() for step in range(20)]
    monkeypatch.setattr(module, "CHUNK_VALUES", held)
    found = stream(order(name, 4))
    for step in [0, 19, 3, 3, 12, 5, 6, 18, 1]:
        assert torch.equal(found.at(step)[1], expected[step])


def test_that_each_run_has_the_batches_it_has_alone() -> None:
    orders = [order("shuffled", 4), order("never_shuffled", 4), order("shuffled", 4)]
    together = stream(*orders, seeds=(3, 3, 8))
    for step in range(8):
        x, y = together.at(step)
        assert x.shape[0] == 3
        for run, (mine, seed) in enumerate(zip(orders, (3, 3, 8), strict=True)):
            assert torch.equal(y[run], stream(mine, seeds=(seed,)).at(step)[1][0])
    assert not torch.equal(together.at(0)[1][0], together.at(0)[1][2])


def test_that_runs_with_the_same_seed_share_one_batch_in_memory() -> None:
    x, _ = stream(order("shuffled", 4), order("shuffled", 4), seeds=(3, 3)).at(0)
    assert x.shape == (2, 4, 1)
    assert x.stride(0) == 0


def test_that_shuffling_differs_between_epochs_where_it_says_so() -> None:
    def epochs(name: str) -> list[list[int]]:
        found = stream(order(name, N))
        return [found.at(epoch)[1][0].tolist() for epoch in range(3)]

    first, second, third = epochs("shuffled")
    assert first != second != third != first
    once = epochs("shuffled_once")
    assert once[0] == once[1] == once[2] != list(range(N))
    assert epochs("never_shuffled")[0] == list(range(N))


@pytest.mark.parametrize("large", [1, 10**9])
def test_that_batches_that_are_gathered_alone_are_the_same(
    monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(module, "_LARGE_BATCH", large)
    orders = [order("shuffled", 5) for _ in range(2)]
    found = stream(*orders, seeds=(1, 2))
    gathered = [found.at(step) for step in range(12)]
    shapes = {(x.shape, x.stride()) for x, _ in gathered}
    assert len(shapes) == 2, "a full batch and the last one of an epoch, whatever is gathered"
    alone = [stream(orders[0], seeds=(seed,)) for seed in (1, 2)]
    for step, (x, _) in enumerate(gathered):
        assert torch.equal(x, torch.cat([one.at(step)[0] for one in alone]))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "streaming"])
@pytest.mark.parametrize(
    ("size", "begin", "number"), [(5, 0, 4), (5, 2, 2), (5, 4, 0), (1, 20, 9), (0, 3, 9)]
)
def test_that_batches_ahead_are_those_of_the_steps_up_to_one_of_another_size(
    name: str, size: int, begin: int, number: int
) -> None:
    orders, seeds = [order(name, size)] * 3, (1, 2, 1)
    found, usual = stream(*orders, seeds=seeds), stream(*orders, seeds=seeds)
    rows = found.ahead(begin, 9)
    if not number:
        assert rows is None
        return
    assert rows is not None and rows.shape[1] == number
    x, y = found.gathered(rows.flatten(1))
    for index in range(number):
        part = slice(index * rows.shape[2], (index + 1) * rows.shape[2])
        expected_x, expected_y = usual.at(begin + index)
        assert torch.equal(x[:, part], expected_x) and torch.equal(y[:, part], expected_y)


@pytest.mark.parametrize("size", [4, 2])
def test_that_batches_ahead_end_where_another_segment_begins(size: int) -> None:
    """Also where its batches have the size of those before, and another place."""
    found = stream(order("shuffled", 4))
    found.continue_at(Segment(3, 0, 5), [order("shuffled", size)])
    rows = found.ahead(1, 9)
    assert rows is not None and rows.shape[1:] == ((6, 4) if size == 4 else (2, 4))
    _, y = found.gathered(rows.flatten(1))
    expected = torch.cat([found.at(step)[1][0] for step in range(1, 1 + rows.shape[1])])
    assert torch.equal(y[0], expected)


def test_that_nothing_is_known_ahead_of_a_stream_of_fresh_examples() -> None:
    assert stream(order("streaming", 5)).ahead(0, 4) is None
