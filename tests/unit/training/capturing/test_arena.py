"""Places in one block of memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optlab.training.capturing.arena import ALIGNMENT, Span, placed

SPANS = st.lists(
    st.builds(
        lambda size, first, length: Span(size, first, first + length),
        st.integers(0, 300),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=14,
)


@given(SPANS)
def test_that_tensors_that_are_needed_at_the_same_time_do_not_overlap(spans: list[Span]) -> None:
    offsets, total = placed(dict(enumerate(spans)))
    for number, one in enumerate(spans):
        assert offsets[number] % ALIGNMENT == 0
        assert offsets[number] + one.size <= total
        for other_number, other in enumerate(spans[:number]):
            if one.first <= other.last and other.first <= one.last and one.size and other.size:
                low, high = sorted([(offsets[number], one), (offsets[other_number], other)])
                assert low[0] + low[1].size <= high[0]


def test_that_tensors_that_follow_each_other_share_a_place() -> None:
    offsets, total = placed({"a": Span(640, 0, 2), "b": Span(640, 3, 5), "c": Span(64, 2, 3)})
    assert offsets == {"a": 0, "b": 0, "c": 640}
    assert total == 704
