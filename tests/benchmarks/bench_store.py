"""How fast series are appended and read, as ratios to TensorBoard's writer and reader. A plain
script: PYTHONPATH=. python tests/benchmarks/bench_store.py

One row is one step of eight series (four numbers and a vector of four). Repetitions are
interleaved; medians are printed, with their spread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.training.events import Series, SeriesBlock, SessionEnded, SessionStarted

NAMES = ("batch_loss", "gradient_norm", "update_norm", "learning_rate")
WEIGHTS = ("w[0]", "w[1]", "w[2]", "w[3]")
BLOCK = 200
"""Steps of a block: what a fast run measures in one frame."""


def _experiment() -> Experiment:
    return Experiment.from_dict({"dataset": {"name": "moons"}, "model": {"name": "mlp"}})


def _blocks(rows: int) -> list[SeriesBlock]:
    random = np.random.default_rng(0)
    found = []
    for first in range(1, rows + 1, BLOCK):
        steps = np.arange(first, first + BLOCK, dtype=np.int64)
        series = {name: Series(steps, random.standard_normal((BLOCK, 1))) for name in NAMES}
        series["weights"] = Series(steps, random.standard_normal((BLOCK, 1, len(WEIGHTS))))
        found.append(SeriesBlock(first + BLOCK - 1, 0.0, series))
    return found


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
        found = store.series(run)
    assert len(found["batch_loss"].steps) == rows and found["weights"].values.shape == (
        rows,
        len(WEIGHTS),
    )


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
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows, peer_rows = (count - count % BLOCK for count in (asked.rows, asked.peer_rows))
    blocks, peer_blocks, experiment = _blocks(rows), _blocks(peer_rows), _experiment()
    rates: dict[str, list[float]] = {"append": [], "read": [], "peer_append": [], "peer_read": []}
    with tempfile.TemporaryDirectory() as temporary:
        _tensorboard_append(Path(temporary) / "warm", peer_blocks[:1])
        _store_append(Path(temporary) / "store-warm", experiment, blocks[:10])
        for repeat in range(asked.repeats):
            home, folder = Path(temporary) / f"store-{repeat}", Path(temporary) / f"peer-{repeat}"
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
    result = {
        "append_ratio": median["append"] / median["peer_append"],
        "read_ratio": median["read"] / median["peer_read"],
        "rows_per_second": {name: round(value) for name, value in median.items()},
        "spread": {
            name: [round(min(values)), round(max(values))] for name, values in rates.items()
        },
    }
    if asked.json:
        print(json.dumps(result))
        return
    for what, name in (("appended", "append"), ("read", "read")):
        print(
            f"series {what}: {result[f'{name}_ratio']:,.0f} x TensorBoard ({median[name]:,.0f} "
            "rows/s against "
            f"{median[f'peer_{name}']:,.0f}, 8 values a row; store {min(rates[name]):,.0f} to "
            f"{max(rates[name]):,.0f})"
        )


if __name__ == "__main__":
    main()
