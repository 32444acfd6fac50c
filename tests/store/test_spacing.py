"""Which snapshots are kept: evenly spaced, within bytes and number, the fixed ones longest."""

from __future__ import annotations

from itertools import pairwise

import pytest

from optlab.store.spacing import outdated

Moment = tuple[int, int, str]


def grown(moments: list[Moment], budget: int, most: int) -> list[Moment]:
    """What is kept of moments that come one after another."""
    kept: list[Moment] = []
    for moment in moments:
        kept.append(moment)
        removed = outdated(kept, lambda one: one, budget, most)
        kept = [one for one in kept if one not in removed]
        assert sum(size for _, size, _ in kept) <= budget or len(kept) <= 3
    return kept


@pytest.mark.parametrize("length", [64, 100, 777, 3000])
def test_that_the_gaps_of_a_growing_run_stay_alike(length):
    kept = grown([(step, 10, "checkpoint") for step in range(length)], 10**9, 32)
    assert len(kept) == 32
    assert (kept[0][0], kept[-1][0]) == (0, length - 1)
    gaps = [after[0] - before[0] for before, after in pairwise(kept[:-2])]
    assert max(gaps) <= 4 * length / 32
    assert max(gaps) <= 3 * min(gaps)


def test_that_slow_parts_are_not_kept_more_densely():
    # A run that is watched at one step a second, and then left to itself.
    steps = [*range(100), *range(100, 100_000, 1000)]
    kept = grown([(step, 1, "checkpoint") for step in steps], 10**9, 50)
    assert sum(step < 100 for step, _, _ in kept) <= 2


def test_that_changes_stay_until_nothing_else_is_left_to_remove():
    moments = [(step, 1, "changed" if step % 10 == 5 else "checkpoint") for step in range(200)]
    kept = grown(moments, 30, 1000)
    assert {step for step, _, reason in kept if reason == "changed"} == set(range(5, 200, 10))
    fewer = grown(moments, 10, 1000)
    assert len(fewer) == 10 and fewer[0][0] == 0 and fewer[-2:] == moments[-2:]


def test_that_the_first_and_the_newest_two_stay_whatever_they_weigh():
    kept = grown([(step, 10**6, "checkpoint") for step in range(20)], 1, 1)
    assert [step for step, _, _ in kept] == [0, 18, 19]
