"""A table of a gigabyte: bounded memory, progress, and an end when it is cancelled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BYTES = 1_000_000_000
ROWS_A_BLOCK = 20_000
PROGRAM = """
import json, resource, sys, time
from optlab.catalogue.datasets.csv_file import CSVFile
import pyarrow.csv

unit = 1024 if sys.platform != "darwin" else 1
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
dataset = CSVFile.build(
    {"path": sys.argv[1], "target": "t", "columns": ["city=category", "day=date"], "missing": "mean"},
    "dataset",
)
before, begun = peak(), time.perf_counter()
shares = list(dataset.prepare())
read, seconds = peak(), time.perf_counter() - begun
data = dataset.load()
print(json.dumps({
    "before": before, "read": read, "loaded": peak(), "seconds": seconds, "shares": len(shares),
    "sorted": shares == sorted(shares), "last": shares[-1],
    "raw": dataset.table().x.nbytes,
    "parts": sum(part.x.nbytes for part in (data.training, data.validation, data.test)),
    "rows": len(dataset.table().x),
}))
"""


def write(path: Path) -> int:
    """Write a table of :data:`BYTES`, and return its number of rows."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(ROWS_A_BLOCK, 12)) * 100
    days = rng.integers(1, 29, ROWS_A_BLOCK)
    cities = rng.choice(["Bonn", "Genoa", "Lima"], ROWS_A_BLOCK)
    block = "".join(
        ",".join([*(f"{value:.5f}" for value in row), f"2024-02-{day:02}", city, str(day % 2)])
        + "\n"
        for row, day, city in zip(numbers, days, cities, strict=True)
    ).encode()
    names = [*(f"x{i}" for i in range(12)), "day", "city", "t"]
    with path.open("wb") as file:
        file.write(",".join(names).encode() + b"\n")
        blocks = -(-BYTES // len(block))
        for _ in range(blocks):
            file.write(block)
    return blocks * ROWS_A_BLOCK


@pytest.mark.soak
def test_that_a_table_of_a_gigabyte_takes_little_more_memory_than_its_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "large.csv"
    rows = write(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    print(found)
    path.unlink()
    assert found["rows"] == rows and found["sorted"] and found["last"] == 1.0
    assert found["shares"] > 100
    targets = 8 * rows
    # While it is read, the numbers are in memory once, and some blocks of text beside them.
    assert found["read"] - found["before"] < 1.1 * (found["raw"] + targets) + 150e6
    # Loaded are the table and the parts; beside them the split, and two columns that are scaled.
    assert found["loaded"] - found["before"] < 1.1 * (found["raw"] + found["parts"]) + 14 * targets
