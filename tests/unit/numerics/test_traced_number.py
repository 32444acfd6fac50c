"""Traced numbers: computed again for another step, and never a basis for decisions."""

from __future__ import annotations

import pytest

from optlab.numerics.traced_number import NotRepeatable, Numbers, TracedNumber


def test_that_what_is_computed_from_a_step_is_computed_again_for_another() -> None:
    numbers = Numbers()
    step = numbers.leaf("step", 3)
    found = -(2.0 * (1.0 - 0.9**step) / (step + 1) - step**0.5)
    assert isinstance(found, TracedNumber)
    values = numbers.evaluated([found.index], {"step": 7})
    assert values[found.index] == -(2.0 * (1.0 - 0.9**7) / 8 - 7**0.5)
    assert numbers.values[found.index] == -(2.0 * (1.0 - 0.9**3) / 4 - 3**0.5)


def test_that_a_bound_is_computed_again_and_differs_between_recordings() -> None:
    numbers = Numbers()
    count = (numbers.leaf("step", 3) - 10).clamp(min=1)
    assert numbers.values[count.index] == 1
    assert numbers.evaluated([count.index], {"step": 14})[count.index] == 4
    assert numbers.evaluated([count.index], {"step": 9})[count.index] == 1
    again = Numbers(other=True)
    other = (again.leaf("step", 4) - 10).clamp(min=1)
    assert again.values[other.index] != 1, "or it would be taken for a constant"
    assert again.evaluated([other.index], {"step": 14})[other.index] == 4


@pytest.mark.parametrize(
    "decide",
    [lambda k: k == 1, lambda k: k % 5, bool, int, float, lambda k: k > 3, hash],
    ids=["equal", "modulo", "bool", "int", "float", "greater", "hash"],
)
def test_that_a_decision_by_the_step_is_refused(decide: object) -> None:
    step = Numbers().leaf("step", 3)
    with pytest.raises(NotRepeatable, match="depends on the step"):
        decide(step)  # type: ignore[operator]
