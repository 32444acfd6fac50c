"""Layout: how flat parameters divide, and what each value is called."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optlab.core.errors import InvalidInput
from optlab.core.layout import layout, linear

NET = layout([*linear("layers.0", 3, 4), *linear("layers.1", 4, 2, output=True)])


def test_that_splitting_gives_views_in_order() -> None:
    theta = torch.arange(2.0 * NET.total).view(2, NET.total)
    parts = NET.split(theta)
    assert [tuple(part.shape) for part in parts] == [(2, 4, 3), (2, 4), (2, 2, 4), (2, 2)]
    assert torch.equal(torch.cat([part.flatten(1) for part in parts], dim=1), theta)
    parts[1][1, 2] = -1.0
    assert theta[1, 14] == -1.0
    assert list(NET.named(theta)) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert (NET.total, NET.sizes, NET.offsets) == (26, [12, 4, 8, 2], [0, 12, 16, 24])


@given(st.integers(0, NET.total - 1))
def test_that_the_name_of_a_value_leads_back_to_it(index: int) -> None:
    name = NET.weight_name(index)
    assert NET.weight_index(name) == index
    theta = torch.zeros(1, NET.total)
    theta[0, index] = 1.0
    owner, _, where = name.rstrip("]").partition("[")
    assert NET.named(theta)[owner][0][tuple(map(int, where.split(",")))] == 1.0


def test_that_values_are_named_by_row_and_column() -> None:
    assert [NET.weight_name(i) for i in (0, 4, 12, 25)] == [
        "layers.0.weight[0,0]",
        "layers.0.weight[1,1]",
        "layers.0.bias[0]",
        "layers.1.bias[1]",
    ]
    assert NET.weight_index("layers.0.weight[1, 1]") == 4


@pytest.mark.parametrize(
    "name", ["layers.0.weight[4,0]", "layers.0.weight[0]", "layers.0.bias[0,0]", "layers.1.bias[2]"]
)
def test_that_a_place_outside_of_a_tensor_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is out of bounds of"):
        NET.weight_index(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "layers.2.weight[0,0]",
        "layers.0.weight",
        "layers.0.weight[-1,0]",
        "layers.0.weight[0,0]x",
    ],
)
def test_that_a_name_of_nothing_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"is not a weight; write for example layers\.0\.weight\[0,0\]"
    ):
        NET.weight_index(name)


@given(st.integers(0, 60))
def test_that_spread_places_are_distinct_and_over_all_tensors(count: int) -> None:
    places = NET.spread(count)
    assert len(set(places)) == len(places) <= count
    assert all(0 <= place < NET.total for place in places)
    owners = {NET.owner(place).name for place in places}
    assert len(owners) == min(count, 4)
