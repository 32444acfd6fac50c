"""A folder of watched runs is read whatever is in it, and while it grows."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.outside.foreign_runs.records import SILENT_SECONDS
from optlab.outside.foreign_runs.watched import find_runs, open_run
from optlab.tasks.watched_runs import WatchedFolder, sentence
from optlab.watch.blocks import (
    BLOCKS_FILE,
    RUN_FILE,
    SeriesPart,
    encode_event,
    encode_series,
)

IDENTITY: dict[str, Any] = {
    "format": 1,
    "run": "a",
    "title": "a run",
    "created": "2026-01-02T03:04:05+00:00",
    "host": "elsewhere",
    "process": 1,
    "models": [{"name": "", "class": "Net"}],
    "parameters": 10,
    "tensors": [
        {"name": "w", "shape": [3, 3], "dtype": "float32", "estimated": False},
        {"name": "b", "shape": [1], "dtype": "float32", "estimated": False},
    ],
}


def part(name: str, steps: range, k: int = 1, **more: Any) -> SeriesPart:
    values = np.add.outer(np.array(steps, dtype=float), np.arange(k) / 10)
    return SeriesPart(name, np.array(steps), values, **more)


def make(folder: Path, *blocks: bytes, identity: Any = IDENTITY) -> Path:
    folder.mkdir(parents=True)
    (folder / RUN_FILE).write_text(json.dumps(identity))
    (folder / BLOCKS_FILE).write_bytes(b"".join(blocks))
    return folder


def test_that_a_growing_run_is_read_from_where_it_stood(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", encode_series([part("loss", range(1, 4))]))
    run = open_run(folder)
    run.read()
    assert run.last("loss") == (3, 3, [3.0])
    rest = encode_series(
        [part("loss", range(4, 6)), part("n_by_tensor", range(5, 6), 2, tensors=((0, 2),))]
    )
    with (folder / BLOCKS_FILE).open("ab") as file:
        file.write(rest[:40])
    assert run.read().series == ()
    with (folder / BLOCKS_FILE).open("ab") as file:
        file.write(rest[40:] + encode_event({"kind": "ended", "status": "stopped", "step": 5}))
    new = run.read()
    assert [series.steps.tolist() for series in new.series] == [[4, 5], [5]]
    assert new.series[1].columns == ("w", "b") and run.last("loss") == (5, 5, [5.0])
    assert run.status == "stopped" and run.skipped == 0


def test_that_a_run_says_how_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", encode_event({"kind": "alive", "step": 3}))
    run = open_run(folder)
    run.read()
    assert run.status == "running"
    old = time.time() - SILENT_SECONDS - 5
    os.utime(folder / BLOCKS_FILE, (old, old))
    assert run.status == "silent"
    here = {**IDENTITY, "host": __import__("socket").gethostname(), "process": 2**22 + 12345}
    other = make(tmp_path / "b", identity=here)
    assert open_run(other).status == "interrupted"


def test_that_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    make(tmp_path / "good", encode_series([part("loss", range(1, 3))]))
    make(tmp_path / "later", identity={**IDENTITY, "format": 99})
    make(tmp_path / "list", identity=[1, 2])
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / RUN_FILE).write_text("{")
    os.mkfifo(tmp_path / "good" / "pipe")
    pipe = make(tmp_path / "pipe")
    (pipe / BLOCKS_FILE).unlink()
    os.mkfifo(pipe / BLOCKS_FILE)
    runs = WatchedFolder(tmp_path)
    runs.read()
    assert set(runs.runs) == {"good", "pipe"} and len(runs.problems) == 4
    document = runs.document()
    assert document["runs"][0]["series"]["loss"] == {"count": 2, "step": 2, "last": 2.0}
    assert any("format 99" in problem for problem in document["problems"])
    assert any("named pipe" in problem for problem in document["problems"])
    with pytest.raises(InvalidInput, match="cannot be read"):
        find_runs(tmp_path / "nowhere")


@pytest.mark.parametrize("seed", range(40))
def test_that_no_content_harms_the_reader(seed: int, tmp_path: Path) -> None:
    """Sound checksums over nonsense: blocks of someone who means harm."""
    draw = random.Random(seed)

    def junk(depth: int = 0) -> Any:
        kinds: list[Any] = [None, True, -1, 2**70, 1.5, float("nan"), "text\x1b[31m", "kind"]
        if depth < 3:
            kinds += [
                [junk(depth + 1) for _ in range(draw.randrange(4))],
                {
                    draw.choice(
                        ["kind", "step", "causes", "name", "n", "k", "series", "tensors"]
                    ): junk(depth + 1)
                    for _ in range(draw.randrange(5))
                },
            ]
        return draw.choice(kinds)

    identity = {
        **IDENTITY,
        **{key: junk() for key in draw.sample(sorted(IDENTITY), 4)},
        "format": 1,
    }
    events = [
        {
            "kind": draw.choice(["spike", "non_finite", "alive", "ended", "slice"]),
            **{
                key: junk()
                for key in (
                    "step",
                    "causes",
                    "what",
                    "tensor",
                    "tensors",
                    "value",
                    "status",
                    "overhead",
                    "lost",
                )
            },
        }
        for _ in range(5)
    ]
    parts = [
        part(f"{k}" * draw.randrange(1, 900), range(1, 3), k, tensors=tensors, labels=labels)
        for k, tensors, labels in [(2, ((0, 9),), ()), (3, (), ("a",)), (1, ((5, 2),), ("b", "c"))]
    ]
    make(tmp_path / "a", *map(encode_event, events), encode_series(parts), identity=identity)
    runs = WatchedFolder(tmp_path)
    runs.read()
    document = runs.document()
    assert len(document["runs"]) == 1 and len(document["runs"][0]["series"]) == 3
    for event in events:
        assert isinstance(sentence(event), str)


def test_that_two_hundred_runs_are_read_in_little_time(tmp_path: Path) -> None:
    blocks = [
        encode_series([part(name, range(first, first + 100)) for name in ("loss", "lr", "norm")])
        for first in range(1, 1000, 100)
    ]
    for number in range(200):
        make(tmp_path / f"{number:03}", *blocks)
    began = time.process_time()
    runs = WatchedFolder(tmp_path)
    runs.read()
    seconds = time.process_time() - began
    assert len(runs.runs) == 200 and runs.runs["199"].last("loss") == (1000, 1000, [1000.0])
    assert seconds < 2.0
