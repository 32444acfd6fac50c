"""``optlab export --format tensorboard``: TensorBoard's own reader gets every number, and so does ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.core import crc32c
from optlab.experiment import Experiment
from optlab.outside.foreign_runs.tensorboard_events import TensorBoardSource
from optlab.store import Store, StoredSeries
from optlab.store.export import tensorboard
from optlab.store.export.table import stack, tabulate
from optlab.training.control import Inbox
from optlab.training.session import session

STEPS = np.array([0, 1, 127, 128, 16384, 3_000_000])
SERIES = {
    "batch_loss": StoredSeries(STEPS, np.array([2.5, math.nan, 1e-30, -3.0, math.inf, 0.1])),
    "validation_loss": StoredSeries(STEPS[::2], np.array([1.0, 0.5, 1e300])),
    "seconds": StoredSeries(STEPS, np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])),
}
ABOUT = {"run": "run-a", "created": "2026-01-02T03:04:05+00:00"}


def read(folder: Path) -> Mapping[str, tuple[list[int], list[float], list[float]]]:
    """Tag → steps, values and times, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        scalars = events.Scalars(tag)
        found[tag] = (
            [one.step for one in scalars],
            [one.value for one in scalars],
            [one.wall_time for one in scalars],
        )
    return found


def check(folder: Path, series: Mapping[str, StoredSeries], *, others: bool = False) -> None:
    """TensorBoard and OptLab read all of it, in single precision."""
    theirs = read(folder)
    source = TensorBoardSource("run", folder)
    new = source.read(source.identity(), ())
    ours = {one.name: one for one in new.series}
    assert new.skipped == 0
    assert set(theirs) == set(ours) >= set(series)
    assert others or set(ours) == set(series)
    for name, one in series.items():
        with np.errstate(over="ignore"):
            wanted = one.values.astype(np.float32).astype(float)
        np.testing.assert_array_equal(theirs[name][0], one.steps)
        np.testing.assert_array_equal(theirs[name][1], wanted)
        np.testing.assert_array_equal(ours[name].steps, one.steps)
        np.testing.assert_array_equal(ours[name].values[:, 0], wanted)


def test_that_every_number_of_a_table_is_read_back(tmp_path: Path) -> None:
    tensorboard.write(tabulate(SERIES, ABOUT), tmp_path / "logs")
    check(tmp_path / "logs" / "run-a", SERIES)
    times = read(tmp_path / "logs" / "run-a")["batch_loss"][2]
    assert times == [1767323045.0 + 0.5 * row for row in range(6)]


def test_that_each_run_has_a_folder(tmp_path: Path) -> None:
    other = {"batch_loss": StoredSeries(np.arange(300), np.linspace(0.0, 1.0, 300))}
    about = f'[{{"run": "a", "created": "{ABOUT["created"]}"}}, {{"run": "b", "created": "{ABOUT["created"]}"}}]'
    table = stack({"a": tabulate(SERIES, {}), "b": tabulate(other, {})}, {"runs": about})
    tensorboard.write(table, tmp_path / "logs")
    check(tmp_path / "logs" / "a", SERIES)
    check(tmp_path / "logs" / "b", other)


def test_that_the_checksum_of_rows_is_that_of_each() -> None:
    messages = np.random.default_rng(0).integers(0, 256, (50, 33), dtype=np.uint8)
    assert crc32c.masked_rows(messages).tolist() == [
        crc32c.masked(row.tobytes()) for row in messages
    ]
    # RFC 3720: the CRC-32C of 32 zeros is 0x8a9136aa.
    crc = 0x8A9136AA
    assert crc32c.masked(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_that_the_command_writes_a_stored_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": [3]},
            "budget": {"steps": 9},
        }
    )
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
    for event in session([experiment], Inbox()):
        writer.record(event)
    writer.close()
    (run,) = writer.run_ids
    command = ["export", run, "--format", "tensorboard", "--to", str(tmp_path / "logs")]
    assert main(command) == 0
    with Store.open_readonly() as store:
        series = store.series(run)
    single = {name: one for name, one in series.items() if not one.columns}
    check(tmp_path / "logs" / run, single, others=True)
    assert main(command) == 2
    assert "has files in it; choose a new folder" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
