"""Sampling orders: independent draws, the correlated case, a buffer kept by hand, and a curriculum
compared with scikit-learn.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from optlab.catalogue.batches.base import Batches, Examples
from optlab.catalogue.batches.curriculum import Curriculum, difficulty
from optlab.catalogue.batches.replay_buffer import ReplayBuffer
from optlab.catalogue.batches.sorted_by_class import SortedByClass
from optlab.catalogue.batches.with_replacement import WithReplacement
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.objective.seeding import generators

N = 60
CLASSES = Examples(torch.linspace(-1.0, 1.0, 2 * N).view(N, 2), torch.arange(N) * 7 % 3)
VALUES = Examples(
    CLASSES.x, torch.stack([torch.arange(N).double() * 7 % 13, -torch.arange(N).double()], dim=1)
)


def load(name: str) -> Examples:
    part = (
        Experiment.from_dict({"dataset": {"name": name}, "model": {"name": "linear"}})
        .dataset.load()
        .training
    )
    return Examples(torch.from_numpy(part.x), torch.from_numpy(part.y))


@pytest.mark.parametrize("name", registry.names("batches"))
@pytest.mark.parametrize("examples", [CLASSES, VALUES])
def test_that_an_order_is_a_pure_function_of_seed_and_epoch(name: str, examples: Examples) -> None:
    order: Batches = registry.get("batches", name)()  # type: ignore[assignment]
    for epoch in (0, 3):
        drawn = order.epoch_order(examples, epoch, generators(5))
        assert drawn.dtype == torch.int64 and drawn.shape == (N,)
        assert int(drawn.min()) >= 0 and int(drawn.max()) < N
        again = order.epoch_order(
            Examples(examples.x.clone(), examples.y.clone()), epoch, generators(5)
        )
        assert torch.equal(drawn, again)


def test_that_draws_with_replacement_are_uniform_and_independent_between_epochs() -> None:
    epochs = [WithReplacement().epoch_order(CLASSES, epoch, generators(1)) for epoch in range(400)]
    counts = torch.bincount(torch.cat(epochs), minlength=N).double()
    assert bool(((counts - 400.0).abs() < 5.0 * 400.0**0.5).all())
    missing = float(np.mean([1.0 - len(order.unique()) / N for order in epochs]))
    assert missing == pytest.approx((1.0 - 1.0 / N) ** N, abs=0.01)
    assert not torch.equal(epochs[0], epochs[1])


def test_that_classes_come_one_after_another_and_values_in_order() -> None:
    order = SortedByClass().epoch_order(CLASSES, 4, generators(1))
    assert CLASSES.y[order].tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert order[:20].tolist() == sorted(order[:20].tolist()), "as stored within a class"
    values = VALUES.y[SortedByClass().epoch_order(VALUES, 0, generators(1)), 0]
    assert bool((values.diff() >= 0).all())


@pytest.mark.parametrize("arrivals", ["stored", "sorted"])
@pytest.mark.parametrize(("capacity", "size"), [(1, 8), (10, 8), (90, 7), (10**6, 16)])
def test_that_a_batch_is_drawn_from_the_content_of_a_buffer_kept_by_hand(
    arrivals: str, capacity: int, size: int
) -> None:
    order = ReplayBuffer(capacity=capacity, size=size, arrivals=arrivals)  # type: ignore[arg-type]
    stream = (
        list(range(N))
        if arrivals == "stored"
        else SortedByClass().epoch_order(CLASSES, 0, generators(0)).tolist()
    )
    held: list[set[int]] = []  # one a step of three epochs
    drawn: list[set[int]] = [set() for _ in range(3 * order.steps_per_epoch(N))]
    buffer: list[int] = []
    for _ in range(3):
        for begin in range(0, N, size):
            buffer = (buffer + stream[begin : begin + size])[-capacity:]
            held.append(set(buffer))
    for seed in range(150):
        for epoch in range(3):
            batches = order.epoch_order(CLASSES, epoch, generators(seed)).split(size)
            for number, batch in enumerate(batches, start=epoch * len(batches)):
                assert set(batch.tolist()) <= held[number], number
                drawn[number] |= set(batch.tolist())
    assert drawn == held, "everything that is held is drawn some time"


@pytest.mark.parametrize(("name", "sizes"), [("digits", 10), ("breast_cancer", 2)])
def test_that_difficulty_agrees_with_a_softmax_regression_of_scikit_learn(
    name: str, sizes: int
) -> None:
    examples = load(name)
    x, y = examples.x.flatten(1).numpy(), examples.y.numpy()
    p = LogisticRegression(C=1.0, max_iter=2000).fit(x, y).predict_proba(x)
    assert p.shape[1] == sizes
    theirs = -np.log(p[np.arange(len(y)), y])
    ours = difficulty(examples).numpy()
    ranks = [np.argsort(np.argsort(values)) for values in (ours, theirs)]
    assert np.corrcoef(*ranks)[0, 1] > 0.85
    assert difficulty(examples) is difficulty(examples), "fitted once"


def test_that_the_difficulty_of_values_is_the_residual_of_least_squares() -> None:
    examples = load("diabetes")
    x, y = examples.x.numpy(), examples.y.numpy()
    expected = ((y - LinearRegression().fit(x, y).predict(x)) ** 2).sum(axis=1)
    np.testing.assert_allclose(difficulty(examples).numpy(), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("first", ["easy", "hard", "random"])
def test_that_the_available_share_grows_linearly_and_the_first_examples_come_first(
    first: str,
) -> None:
    examples = load("diabetes")
    n = len(examples)
    order = Curriculum(first=first, epochs=4, share=0.2)  # type: ignore[arg-type]
    ranked = difficulty(examples).argsort(descending=first == "hard").tolist()
    before: set[int] = set()
    for epoch, share in enumerate([0.2, 0.4, 0.6, 0.8, 1.0, 1.0]):
        drawn = order.epoch_order(examples, epoch, generators(2))
        available = set(drawn.tolist())
        count = int(np.ceil(share * n - 1e-9))
        assert len(drawn) == n and len(available) == count
        assert before <= available
        assert (available == set(ranked[:count])) == (first != "random" or share == 1.0)
        times = torch.bincount(drawn, minlength=n)[sorted(available)]
        assert int(times.max() - times.min()) <= 1, "no example comes more often than another"
        before = available
