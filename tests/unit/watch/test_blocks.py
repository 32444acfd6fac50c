"""A file of blocks can be cut or damaged anywhere, and gives what is sound in it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from optlab.watch.blocks import Block, Scan, SeriesPart, encode_event, encode_series, scan


def part(name: str, n: int = 3, k: int = 1) -> SeriesPart:
    values = np.arange(n * k, dtype=np.float64).reshape(n, k) * np.pi
    return SeriesPart(name, np.arange(1, n + 1), values, ((0, k),) if k > 1 else ())


BLOCKS = [
    encode_event({"kind": "alive", "step": 1}),
    encode_series([part("loss"), part("norms", 2, 4)]),
    encode_event({"kind": "spike", "batch": [1, 2]}),
    encode_series([part("lr", 40)]),
    encode_event({"kind": "ended"}),
]


def described(block: Block) -> str:
    if block.event is not None:
        return str(dict(block.event))
    return str([(p.name, p.steps.tolist(), p.values.tolist(), p.tensors) for p in block.series])


WHOLE = [described(block) for block in scan(b"".join(BLOCKS), Scan())]


def test_that_blocks_are_read_as_they_were_written() -> None:
    passed = Scan()
    blocks = list(scan(b"".join(BLOCKS), passed))
    assert len(blocks) == 5 and passed.skipped == 0
    first, second = blocks[1].series
    assert (first.name, first.values.shape, second.values.shape) == ("loss", (3, 1), (2, 4))
    assert second.values[1, 3] == 7 * np.pi and second.tensors == ((0, 4),)


def test_that_a_tail_that_is_cut_anywhere_waits_for_its_rest() -> None:
    content = b"".join(BLOCKS)
    ends = np.cumsum([len(block) for block in BLOCKS])
    for cut in range(len(content)):
        passed = Scan()
        found = [described(block) for block in scan(content[:cut], passed)]
        assert found == WHOLE[: int(np.searchsorted(ends, cut, side="right"))]
        assert passed.skipped == 0
        found += [described(block) for block in scan(content[passed.end :], passed)]
        assert found == WHOLE and passed.end == len(content)


def test_that_a_torn_block_costs_itself_alone() -> None:
    for number, block in enumerate(BLOCKS):
        for cut in range(1, len(block), 7):
            torn = [*BLOCKS[:number], block[:cut], *BLOCKS[number + 1 :]]
            passed = Scan()
            found = [described(each) for each in scan(b"".join(torn), passed)]
            assert found == WHOLE[:number] + WHOLE[number + 1 :]
            assert passed.skipped == (cut if number < 4 else 0)


@pytest.mark.parametrize("seed", range(60))
def test_that_damage_never_adds_a_block_and_costs_few(seed: int) -> None:
    draw = random.Random(seed)
    content = bytearray(b"".join(BLOCKS * 3))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(content))
        match draw.randrange(3):
            case 0:
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                del content[at : at + draw.randrange(1, 40)]
            case _:
                content[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 30)))
    passed = Scan()
    found = [described(block) for block in scan(bytes(content), passed)]
    assert set(found) <= set(WHOLE)
    assert len(found) >= 15 - 8 and passed.end <= len(content)
