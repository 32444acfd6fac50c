"""How fast series are appended and read, as ratios to TensorBoard's writer and reader, how long it
takes to list many runs, as a ratio to fetching their rows, and the whole command. A plain script:
PYTHONPATH=. python tests/benchmarks/bench_store.py

One row of a series is one step of eight series (four numbers and a vector of four). Repetitions are
interleaved; medians are printed, with their spread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optlab.experiment import Experiment
from optlab.store import RunRecord, Store
from optlab.store.records import RUNS
from optlab.training.events import Series, SeriesBlock, SessionEnded, SessionStarted

NAMES = ("batch_loss", "gradient_norm", "update_norm", "learning_rate")
WEIGHTS = ("w[0]", "w[1]", "w[2]", "w[3]")
BLOCK = 200
"""Steps of a block: what a fast run measures in one frame."""


def _experiment() -> Experiment:
    return Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})


def _blocks(rows: int) -> list[SeriesBlock]:
    random = np.random.default_rng(0)
    blocks = []
    for first in range(1, rows + 1, BLOCK):
        steps = np.arange(first, first + BLOCK, dtype=np.int64)
        series = {name: Series(steps, random.standard_normal((BLOCK, 1))) for name in NAMES}
        series["weights"] = Series(steps, random.standard_normal((BLOCK, 1, len(WEIGHTS))))
        blocks.append(SeriesBlock(first + BLOCK - 1, 0.0, series))
    return blocks


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _store_append(home: Path, experiment: Experiment, blocks: list[SeriesBlock]) -> str:
    with Store.open(home) as store:
        writer = store.begin([experiment], "thread")
        writer.record(SessionStarted(1, 1, "cpu", "", 1, 1, 1, 1, 0, WEIGHTS))
        for block in blocks:
            writer.record(block)
        writer.record(SessionEnded())
        writer.close()
    return writer.run_ids[0]


def _store_read(home: Path, run: str, rows: int) -> None:
    with Store.open_readonly(home) as store:
        series = store.series(run)
    assert len(series["batch_loss"].steps) == rows and series["weights"].values.shape == (
        rows,
        len(WEIGHTS),
    )


def _store_with_runs(home: Path, runs: int) -> None:
    """Write the rows of many finished runs, each with its own seed."""
    template = _experiment().to_toml()
    with Store.open(home) as store:
        connection = store._connection
        connection.execute("BEGIN")
        for number in range(runs):
            identity = f"20250101-000000-{number:06}"
            record = RunRecord(
                id=identity,
                title=f"Moons, seed {number}",
                experiment=f"seed = {number}\n{template}",
                status="finished",
                owner="0123456789abcdef",
                created=f"2025-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
                ended="2025-01-02T00:00:00+00:00",
                runner="process",
                device="cpu",
                device_name="a CPU",
                versions={"optlab": "0.1.0", "torch": "2", "numpy": "2", "python": "3.11"},
                population=identity,
                place=0,
                tracked=WEIGHTS,
                steps=1000 + number,
                seconds=1.5 + number / 7,
                final={"validation_loss": number / 3, "validation_error": 0.5, "train_loss": None},
                theta_sha256=f"{number:064x}",
                reason="the budget is spent",
            )
            connection.execute(RUNS.insert, RUNS.values(record))
        connection.execute(f"UPDATE runs SET checksum = optlab_checksum({RUNS.columns})")
        connection.execute("COMMIT")


def _list_runs(home: Path, runs: int) -> None:
    with Store.open_readonly(home) as store:
        assert len(store.runs()) == runs and not store.hidden


def _fetch_runs(home: Path, runs: int) -> None:
    with Store.open_readonly(home) as store:
        assert len(store._connection.execute("SELECT * FROM runs").fetchall()) == runs


def _command_runs(home: Path, runs: int) -> None:
    environment = {**os.environ, "OPTLAB_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "optlab", "runs"], env=environment, capture_output=True, check=True
    )
    assert done.stdout.count(b"\n") == runs


def _tensorboard_append(folder: Path, blocks: list[SeriesBlock]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    for block in blocks:
        columns = [(name, block.series[name].values[:, 0]) for name in NAMES]
        columns += [
            (name, block.series["weights"].values[:, 0, place])
            for place, name in enumerate(WEIGHTS)
        ]
        for row, step in enumerate(block.series[NAMES[0]].steps):
            for name, values in columns:
                writer.add_scalar(name, values[row], int(step))
    writer.close()


def _tensorboard_read(folder: Path, rows: int) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    for name in (*NAMES, *WEIGHTS):
        assert len(reader.Scalars(name)) == rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="steps for the store")
    parser.add_argument(
        "--peer-rows",
        type=int,
        default=4_000,
        help="steps for TensorBoard, which is linear in them",
    )
    parser.add_argument("--runs", type=int, default=10_000, help="runs to list")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows, peer_rows = (count - count % BLOCK for count in (arguments.rows, arguments.peer_rows))
    blocks, peer_blocks, experiment = _blocks(rows), _blocks(peer_rows), _experiment()
    rates: dict[str, list[float]] = {"append": [], "read": [], "peer_append": [], "peer_read": []}
    seconds: dict[str, list[float]] = {"list": [], "fetch": [], "command": []}
    with tempfile.TemporaryDirectory() as temporary:
        many = Path(temporary) / "many"
        _store_with_runs(many, arguments.runs)
        _list_runs(many, arguments.runs)
        _tensorboard_append(Path(temporary) / "warm", peer_blocks[:1])
        _store_append(Path(temporary) / "store-warm", experiment, blocks[:10])
        for repeat in range(arguments.repeats):
            home, folder = Path(temporary) / f"store-{repeat}", Path(temporary) / f"peer-{repeat}"
            seconds["list"].append(_timed(lambda: _list_runs(many, arguments.runs)))
            seconds["fetch"].append(_timed(lambda: _fetch_runs(many, arguments.runs)))
            seconds["command"].append(_timed(lambda: _command_runs(many, arguments.runs)))
            began = time.perf_counter()
            run = _store_append(home, experiment, blocks)
            rates["append"].append(rows / (time.perf_counter() - began))
            rates["peer_append"].append(
                peer_rows / _timed(lambda folder=folder: _tensorboard_append(folder, peer_blocks))
            )
            rates["read"].append(
                rows / _timed(lambda home=home, run=run: _store_read(home, run, rows))
            )
            rates["peer_read"].append(
                peer_rows / _timed(lambda folder=folder: _tensorboard_read(folder, peer_rows))
            )
    median = {name: statistics.median(values) for name, values in rates.items()}
    listing = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "list_seconds": round(listing["list"], 3),
        "command_seconds": round(listing["command"], 3),
        "list_ratio": listing["list"] / listing["fetch"],
        "append_ratio": median["append"] / median["peer_append"],
        "read_ratio": median["read"] / median["peer_read"],
        "rows_per_second": {name: round(value) for name, value in median.items()},
        "spread": {
            name: [round(min(values)), round(max(values))] for name, values in rates.items()
        },
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for what, name in (("appended", "append"), ("read", "read")):
        print(
            f"series {what}: {result[f'{name}_ratio']:,.0f} x TensorBoard ({median[name]:,.0f} "
            "rows/s against "
            f"{median[f'peer_{name}']:,.0f}, 8 values a row; store {min(rates[name]):,.0f} to "
            f"{max(rates[name]):,.0f})"
        )
    print(
        f"{arguments.runs:,} runs listed in {listing['list']:.2f} s "
        f"({min(seconds['list']):.2f} to {max(seconds['list']):.2f}), "
        f"{result['list_ratio']:.1f} x fetching their rows; by optlab runs in "
        f"{listing['command']:.2f} s ({min(seconds['command']):.2f} to {max(seconds['command']):.2f})"
    )


if __name__ == "__main__":
    main()
