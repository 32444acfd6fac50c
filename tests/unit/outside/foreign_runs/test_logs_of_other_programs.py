"""Logs of other programs are read whatever is in them, and while they grow.

TensorBoard's files are written by torch's own writer and compared with TensorBoard's own reader. The
other formats are written here as their programs write them; ``make test-foreign`` has the programs
themselves write them.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import struct
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from optlab.core.errors import InvalidInput
from optlab.outside.foreign_runs.finding import find
from optlab.outside.foreign_runs.records import ForeignRun, RunSource
from optlab.tasks.watched_runs import WatchedFolder

Points = dict[str, list[tuple[int, float]]]

LOSS = [(0, 1.0), (1, 0.5), (2, math.nan), (3, -math.inf), (4, 0.25)]
ACCURACY = [(0, 0.0), (2, 0.125), (4, 1e-30)]
BOTH: Points = {"train/loss": LOSS, "val/acc": ACCURACY}


def opened(source: RunSource) -> ForeignRun:
    return ForeignRun(source, source.identity())


def points(run: ForeignRun) -> Points:
    return {
        name: [
            (int(step), float(value))
            for part in parts
            for step, value in zip(part.steps, part.values[:, 0], strict=True)
        ]
        for name, parts in run.series.items()
    }


def same(one: Points, other: Points) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(np.array(one[name]), np.array(other[name]), equal_nan=True) for name in one
    )


def read_all(folder: Path) -> dict[str, ForeignRun]:
    runs = WatchedFolder(folder)
    runs.read()
    assert runs.problems == {}
    return runs.runs


# --- writers --------------------------------------------------------------------------------------


def write_tensorboard(folder: Path, series: Points = BOTH, *, as_tensors: bool = False) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, some in series.items():
            for step, value in some:
                writer.add_scalar(name, value, step, new_style=as_tensors)
    (path,) = folder.iterdir()
    return path


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def message(*parts: tuple[int, bytes | int]) -> bytes:
    return b"".join(
        varint(number << 3) + varint(part)
        if isinstance(part, int)
        else varint(number << 3 | 2) + varint(len(part)) + part
        for number, part in parts
    )


def wandb_item(name: str, value: object) -> bytes:
    names = [(2, part.encode()) for part in name.split(".")]
    return message(*names, (16, json.dumps(value).encode()))


def write_wandb(
    path: Path,
    rows: Iterable[dict[str, object]],
    *,
    exit_code: int | None = 0,
    beside: bytes = b"",
) -> Path:
    """Write a log as LevelDB does: records in blocks of 32 KiB, cut where a block ends."""
    run = message(
        (1, b"abc"),
        (4, message((1, wandb_item("lr", 0.1)), (1, wandb_item("_wandb", {})))),
        (8, b"a name"),
        (17, message((1, 1_700_000_000))),
    )
    records = [message((1, 1), (17, run))]
    for row in rows:
        items = [(1, wandb_item(name, value)) for name, value in row.items()]
        records.append(message((1, 2), (2, message(*items)), (3, beside)))
    if exit_code is not None:
        records.append(message((18, message((1, exit_code)) if exit_code else b"")))
    content = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    for record in records:
        first, rest = True, record
        while True:
            left = 32_768 - len(content) % 32_768
            if left < 7:
                content += bytes(left)
                left = 32_768
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            check = zlib.crc32(bytes([kind]) + part)
            content += struct.pack("<IHB", check, len(part), kind) + part
            first = False
            if not rest:
                break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rows_of(series: Points) -> list[dict[str, object]]:
    steps = sorted({step for some in series.values() for step, _ in some})
    return [
        {"_step": step}
        | {name: dict(some)[step] for name, some in series.items() if step in dict(some)}
        for step in steps
    ]


def write_mlflow_database(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, status TEXT,"
            " start_time BIGINT, lifecycle_stage TEXT);"
            "CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);"
            "CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT,"
            " step BIGINT, is_nan BOOLEAN);"
        )
        for run, stage in (("one", "active"), ("two", "deleted")):
            database.execute(
                "INSERT INTO runs VALUES (?, 'a name', 'FAILED', 1700000000000, ?)", (run, stage)
            )
        database.execute("INSERT INTO params VALUES ('lr', '0.1', 'one')")
        for name, some in BOTH.items():
            for step, value in some:
                # As MLflow stores what SQL has no number for.
                stored = 0.0 if math.isnan(value) else max(value, -1.7976931348623157e308)
                database.execute(
                    "INSERT INTO metrics VALUES (?, ?, 0, 'one', ?, ?)",
                    (name, stored, step, math.isnan(value)),
                )
    database.close()
    return path


def write_mlflow_folder(folder: Path) -> Path:
    for name, some in BOTH.items():
        path = folder / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"1700000000000 {value} {step}\n" for step, value in some))
    (folder / "params").mkdir()
    (folder / "params/lr").write_text("0.1")
    (folder / "meta.yaml").write_text(
        "run_id: one\nrun_name: 'a name'\nstart_time: 1700000000000\nstatus: 4\n"
    )
    return folder


def write_trackio(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT,"
            " run_name TEXT, step INTEGER, metrics TEXT);"
            "CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT, run_name TEXT, config TEXT)"
        )
        database.execute(
            "INSERT INTO configs VALUES (1, 'one', 'a name', ?)",
            (json.dumps({"lr": 0.1, "_G": 0}),),
        )
        for row in rows_of(BOTH):
            step = row.pop("_step")
            words = {math.inf: "Infinity", -math.inf: "-Infinity"}
            stored = {
                name: "NaN" if value != value else words.get(value, value)  # type: ignore[call-overload]
                for name, value in row.items()
            }
            database.execute(
                "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES"
                " ('one', '2023-11-14T22:13:20+00:00', 'a name', ?, ?)",
                (step, json.dumps(stored).encode()),
            )
    database.close()
    return path


def write_csv(path: Path, separator: str = ",", ending: str = "\n") -> Path:
    lines = [separator.join(("step", *BOTH, "note"))]
    for row in rows_of(BOTH):
        cells = [str(row["_step"]), *(str(row.get(name, "")) for name in BOTH), "a word"]
        lines.append(separator.join(cells))
    path.write_text(ending.join(lines) + ending)
    return path


def write_jsonl(path: Path) -> Path:
    lines = []
    for row in rows_of(BOTH):
        step = row.pop("_step")
        nested: dict[str, dict[str, object]] = {}
        for name, value in row.items():
            outer, inner = name.split("/")
            nested.setdefault(outer, {})[inner] = value
        lines.append(json.dumps({"step": step, "text": "x", "flag": True, **nested}))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_trainer_state(path: Path) -> Path:
    history = [{"step": row.pop("_step"), **row} for row in rows_of(BOTH)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"global_step": 4, "log_history": history}))
    return path


WRITERS: dict[str, Callable[[Path], object]] = {
    "TensorBoard": lambda folder: write_tensorboard(folder / "run"),
    "TensorBoard tensors": lambda folder: write_tensorboard(folder / "run", as_tensors=True),
    "W&B": lambda folder: write_wandb(folder / "offline-run-1" / "run-abc.wandb", rows_of(BOTH)),
    "MLflow database": lambda folder: write_mlflow_database(folder / "mlflow.db"),
    "MLflow folder": lambda folder: write_mlflow_folder(folder / "mlruns" / "0" / "one"),
    "Trackio": lambda folder: write_trackio(folder / "project.db"),
    "CSV": lambda folder: write_csv(folder / "metrics.csv"),
    "CSV with semicolons": lambda folder: write_csv(folder / "metrics.csv", ";", "\r\n"),
    "JSON lines": lambda folder: write_jsonl(folder / "log.jsonl"),
    "Hugging Face": lambda folder: write_trainer_state(folder / "trainer_state.json"),
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of one run of each program."""
    WRITERS[request.param](tmp_path)
    return tmp_path


# --- reading --------------------------------------------------------------------------------------


def test_that_no_point_is_lost_and_none_is_changed(written: Path) -> None:
    (run,) = read_all(written).values()
    found = {
        name.replace("train.", "train/").replace("val.", "val/"): some
        for name, some in points(run).items()
    }
    single = "tfevents" in "".join(path.name for path in written.rglob("*"))
    wanted = {
        name: [(step, float(np.float32(value)) if single else value) for step, value in some]
        for name, some in BOTH.items()
    }
    assert same(found, wanted)
    assert run.skipped == 0
    assert run.read().series == ()


@pytest.mark.parametrize("name", ["W&B", "MLflow database", "MLflow folder", "Trackio"])
def test_that_name_time_and_settings_are_those_of_the_run(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    ((source,),) = (find(tmp_path).sources,)
    identity = source.identity()
    assert (identity.title, dict(identity.settings)) == ("a name", {"lr": "0.1"})
    assert identity.created == "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize(
    ("name", "status"),
    [("W&B", "finished"), ("MLflow database", "failed"), ("MLflow folder", "failed")],
)
def test_that_a_run_has_the_status_that_it_ended_with(
    name: str, status: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    (run,) = read_all(tmp_path).values()
    assert run.status == status


def test_that_a_failed_run_of_wandb_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    write_wandb(tmp_path / "run.wandb", rows_of(BOTH), exit_code=1)
    (run,) = read_all(tmp_path).values()
    assert run.status == "failed"


def test_that_tensorboard_reads_the_same(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_tensorboard(tmp_path / "run")
    accumulator = EventAccumulator(str(tmp_path / "run"))
    accumulator.Reload()
    theirs = {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }
    (run,) = read_all(tmp_path).values()
    assert same(points(run), theirs)


def test_that_several_files_of_one_run_are_read_while_each_of_them_grows(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with (
        SummaryWriter(str(tmp_path)) as one,
        SummaryWriter(str(tmp_path), filename_suffix=".b") as two,
    ):
        one.add_scalar("a", 1.0, 0)
        two.add_scalar("b", 2.0, 0)
        one.flush()
        two.flush()
        (run,) = read_all(tmp_path).values()
        assert points(run) == {"a": [(0, 1.0)], "b": [(0, 2.0)]}
        one.add_scalar("a", 3.0, 1)
        one.flush()
        run.read()
    assert points(run) == {"a": [(0, 1.0), (1, 3.0)], "b": [(0, 2.0)]}
    assert run.status == "running"


def test_that_a_file_is_read_on_from_where_it_was_cut(written: Path) -> None:
    files = [path for path in written.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    (whole,) = read_all(written).values()
    wanted = points(whole)
    if any(path.suffix in (".db", ".json") or path.name == "lr" for path in files):
        return  # written as a whole, or several files
    (path,) = files
    content = path.read_bytes()
    for cut in sorted({*range(0, len(content), max(1, len(content) // 40)), len(content) - 1}):
        if content.rfind(b"\n", 0, cut) < 0 and path.suffix in (".csv", ".jsonl"):
            continue  # a table without its header is no run yet
        path.write_bytes(content[:cut])
        (source,) = find(written).sources
        run = opened(source)
        run.read()
        path.write_bytes(content)
        run.read()
        assert same(points(run), wanted), cut


def test_that_damaged_files_are_said_and_never_raise_anything_else(written: Path) -> None:
    rng = random.Random(1)
    files = [path for path in written.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(content)
            for _ in range(rng.choice((1, 3, 50))):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(
                bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged)))) or 1])
            )
            try:
                runs = WatchedFolder(written)
                runs.read()
                json.dumps(runs.document())
            except InvalidInput:
                continue
        path.write_bytes(content)


def test_that_a_damaged_record_of_wandb_costs_its_block_alone(tmp_path: Path) -> None:
    series: Points = {"loss": [(step, step / 2) for step in range(300)]}
    path = write_wandb(tmp_path / "run.wandb", rows_of(series), beside=bytes(1000))
    content = bytearray(path.read_bytes())
    assert len(content) > 8 * 32_768
    content[3 * 32_768 + 500] ^= 1
    path.write_bytes(content)
    (run,) = read_all(tmp_path).values()
    found = points(run)["loss"]
    assert set(found) <= set(series["loss"])
    assert 300 - 40 <= len(found) < 300
    assert 0 < run.skipped <= 2 * 32_768


def test_that_a_damaged_event_file_says_how_much_is_lost(tmp_path: Path) -> None:
    path = write_tensorboard(tmp_path / "run")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    (run,) = read_all(tmp_path).values()
    kept = sum(map(len, points(run).values()))
    assert 0 < kept < 8 and run.skipped > 0
    before = run.skipped
    run.read()
    assert run.skipped == before


def test_that_a_table_that_is_written_anew_with_another_column_replaces_the_old_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.0\n1,0.5\n")
    (source,) = find(tmp_path).sources
    run = opened(source)
    run.read()
    path.write_text("step,loss,val\n0,1.0,\n1,0.5,\n2,0.25,3.0\n")
    assert run.read().restarted
    assert points(run) == {"loss": [(0, 1.0), (1, 0.5), (2, 0.25)], "val": [(2, 3.0)]}


def test_that_a_last_line_without_an_end_counts_once_its_program_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.0\n1,0.5")
    (source,) = find(tmp_path).sources
    run = opened(source)
    run.read()
    assert points(run) == {"loss": [(0, 1.0)]}
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    run.read()
    assert points(run) == {"loss": [(0, 1.0), (1, 0.5)]}
    assert run.status == "recorded"


def test_that_names_padded_with_spaces_and_epochs_are_understood(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("  epoch,  train/box_loss\n  1,  2.5\n  2,  nan\n")
    (run,) = read_all(tmp_path).values()
    assert same(points(run), {"train/box_loss": [(1, 2.5), (2, math.nan)]})


def test_that_json_lines_without_steps_count_them(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"loss": 2}\nnot json\n{"loss": 1}\n')
    (run,) = read_all(tmp_path).values()
    assert points(run) == {"loss": [(1, 2.0), (3, 1.0)]}
    assert run.skipped == len("not json")


def test_that_tables_of_data_and_other_files_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("length,width,class\n1,2,a\n")
    (tmp_path / "words.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "other.db").write_bytes(b"nothing of SQLite's")
    sqlite3.connect(tmp_path / "own.db").execute("CREATE TABLE metrics (a)").connection.close()
    os.mkfifo(tmp_path / "pipe.csv")
    found = find(tmp_path)
    assert (found.sources, found.problems) == ([], [])


def test_that_of_checkpoints_the_last_one_counts(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        write_trainer_state(tmp_path / f"checkpoint-{step}" / "trainer_state.json")
    assert [source.id for source in find(tmp_path).sources] == ["checkpoint-100"]
    write_trainer_state(tmp_path / "trainer_state.json")
    assert [source.id for source in find(tmp_path).sources] == [tmp_path.name]


def test_that_runs_of_all_programs_lie_beside_each_other(tmp_path: Path) -> None:
    for number, write in enumerate(WRITERS.values()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        write(folder)
    runs = read_all(tmp_path)
    assert len(runs) == len(WRITERS)
    assert {run.identity.source for run in runs.values()} == {
        "TensorBoard",
        "W&B",
        "MLflow",
        "Trackio",
        "CSV",
        "JSON lines",
        "Hugging Face",
    }


def test_that_a_database_is_not_written(tmp_path: Path) -> None:
    path = write_trackio(tmp_path / "project.db")
    before = path.read_bytes()
    os.chmod(path, 0o444)
    read_all(tmp_path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["project.db"]


def test_that_a_database_is_read_while_its_program_writes(tmp_path: Path) -> None:
    path = write_trackio(tmp_path / "project.db")
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    (run,) = read_all(tmp_path).values()
    writer.execute(
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES"
        " ('one', '', 'a name', 9, '{\"train/loss\": 7}')"
    )
    writer.commit()
    run.read()
    assert points(run)["train/loss"][-1] == (9, 7.0)
    writer.close()
