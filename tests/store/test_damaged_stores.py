"""A damaged store is set aside with everything salvaged that can be, and work goes on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.core.errors import StoreError
from optlab.store import Store, journal, rescue, soundness
from optlab.store.database import migrations
from optlab.training.control import SetValue
from optlab.training.events import MessageApplied

PAGE = 4096


def _root(home: Path, name: str) -> int:
    connection = sqlite3.connect(home / "optlab.sqlite")
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    (root,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    return root


def _zero_page(home: Path, number: int) -> None:
    with (home / "optlab.sqlite").open("r+b") as file:
        file.seek((number - 1) * PAGE)
        file.write(bytes(PAGE))
    # As if another process opened it.
    soundness.forget(home / "optlab.sqlite")


def _bytes(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def _aside(home: Path) -> Path:
    (folder,) = home.glob("damaged-*")
    return folder


@pytest.mark.parametrize("name", ["runs", "chunks", "sqlite_autoindex_runs_1", "runs_by_time"])
def test_that_runs_outlive_the_loss_of_a_page_that_leads_to_them(home, runs, name, source):
    _zero_page(home, _root(home, name))
    damaged = (home / "optlab.sqlite").read_bytes()
    with Store.open(home) as store:
        assert {record.id for record in store.runs()} == set(runs) and store.hidden == ""
        assert "all of it could be saved: 20 runs" in store.notice
        for run in runs:
            found = store.series(run)["batch_loss"]
            np.testing.assert_array_equal(found.values, source().loss(np.arange(1, 41))[:, 0])
            assert store.latest_snapshot(run).step == 40
    assert (_aside(home) / "optlab.sqlite").read_bytes() == damaged
    assert not (home / "damaged").exists() and not list(home.glob("*.part*"))


def test_that_a_store_without_its_first_page_is_read(home, runs):
    _zero_page(home, 1)
    with Store.open(home) as store:
        assert {record.id for record in store.runs()} == set(runs)
        assert all(len(store.series(run)["batch_loss"].steps) == 40 for run in runs)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.9, 0.98])
def test_that_a_truncated_store_keeps_what_is_left(home, runs, share):
    path = home / "optlab.sqlite"
    length = int(share * path.stat().st_size)
    os.truncate(path, length)
    soundness.forget(path)
    with Store.open(home) as store:
        saved = store.runs()
        assert f"{len(saved)} run" in store.notice
        # Those that are lost are counted where an index still names them.
        assert len(saved) == len(runs) or "lost" in store.notice or "is unknown" in store.notice
        # The first pages are the roots of the tables and indexes.
        assert len(saved) > 0 or share < 0.6
    assert (_aside(home) / "optlab.sqlite").stat().st_size == length
    assert all((home / "snapshots" / run / "40-end.safetensors").exists() or
               (home / "snapshots" / run / "unlisted" / "40-end.safetensors").exists()
               for run in runs)  # fmt: skip


@pytest.mark.parametrize("how", ["empty", "removed", "text"])
def test_that_a_store_that_is_gone_is_not_taken_for_a_new_one(home, runs, how):
    path = home / "optlab.sqlite"
    path.unlink()
    if how != "removed":
        path.write_bytes(b"" if how == "empty" else b"no database at all " * 100)
    before = _bytes(home)
    with Store.open_readonly(home) as store:
        assert store.runs() == [] and "was not changed" in store.notice
    assert _bytes(home) == before
    with Store.open(home) as store:
        assert store.runs() == [] and "set aside" in store.notice and "0 runs" in store.notice
    assert len(list((home / "snapshots").rglob("*.safetensors"))) == len(runs)
    with Store.open(home) as store:
        assert store.notice == ""


def test_that_a_damaged_store_of_a_newer_version_is_left_untouched(home, runs):
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    _zero_page(home, _root(home, "runs"))
    before = _bytes(home)
    for opening in (Store.open, Store.open_readonly):
        with pytest.raises(StoreError, match=r"newer OptLab \(version 99"):
            opening(home)
        assert {path: data for path, data in _bytes(home).items() if "lock" not in path} == before


def test_that_damage_found_by_a_store_that_is_open_is_mended_when_it_is_opened_next(home, runs):
    with Store.open(home) as store:
        with (home / "optlab.sqlite").open("r+b") as file:
            file.seek((_root(home, "runs") - 1) * PAGE)
            file.write(bytes(PAGE))
        store._connection.execute("PRAGMA shrink_memory")
        with pytest.raises(StoreError, match=r"is damaged .* when it opens it next"):
            store.runs()
    with Store.open(home) as store:
        assert len(store.runs()) == len(runs) and "set aside" in store.notice


def test_that_a_store_is_not_replaced_while_a_run_is_recorded_into_it(home, store, experiment):
    writer = store.begin([experiment], "thread")
    copy = (home / "optlab.sqlite").read_bytes()
    _zero_page(home, 1)
    with pytest.raises(StoreError, match="a run is being recorded into it; end that run"):
        Store.open(home)
    assert not list(home.glob("damaged-*"))
    (home / "optlab.sqlite").write_bytes(copy)
    writer.close()


def _resumable(home: Path, store: Store, experiment, source, *, last: int = 3000) -> str:
    writer = store.begin([experiment], "thread")
    writer.record(source().started())
    for first in range(1, last, 500):
        writer.record(source().block(first, first + 499))
        if first == 501:
            writer.record(MessageApplied(1000, SetValue("optimizer.lr", 0.5)))
            writer.record(source().kept(1000, "asked"))
    writer.record(source().kept(last, "asked"))
    writer.close()
    store.close()
    return writer.run_ids[0]


def _lose(home: Path, statement: str, *values: object) -> None:
    """Delete rows from a table but not from its index, as a page with fewer rows would."""
    connection = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    table = statement.split()[2]
    index = f"sqlite_autoindex_{table}_1"
    (root, free), *_ = connection.execute(
        "SELECT rootpage, (SELECT rootpage FROM sqlite_master WHERE name = 'runs_by_time') "
        "FROM sqlite_master WHERE name = ?",
        (index,),
    )
    pages = (home / "optlab.sqlite").read_bytes()
    kept = pages[(root - 1) * PAGE : root * PAGE]
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(statement, values)
    connection.close()
    with (home / "optlab.sqlite").open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(kept)
    assert free
    soundness.forget(home / "optlab.sqlite")


def test_that_a_run_that_lost_steps_is_resumed_from_before_them(home, store, experiment, source):
    run = _resumable(home, store, experiment, source)
    _lose(home, "DELETE FROM chunks WHERE number = 1 AND bundle = 0")
    with Store.open(home) as store:
        assert f"parts of 1 run ({run}) are lost" in store.notice
        record = store.run(run)
        assert (record.status, record.steps) == ("interrupted", 1024)
        assert "only its first 1,024 of 3,000 steps were saved" in record.reason
        assert store.series(run)["batch_loss"].steps[-1] == 1024
        # The file of the snapshot of step 3,000 is kept, also when the run is resumed.
        writer = store.resume([run])
        assert writer.snapshots is not None and writer.snapshots[0].step == 1000
        for first in range(1001, 3000, 500):
            writer.record(source().block(first, first + 499))
        writer.record(source().ended(3000))
        writer.close()
        found = store.series(run)
        for name, values in (("batch_loss", source().loss(np.arange(1, 3001))[:, 0]),):
            np.testing.assert_array_equal(found[name].steps, np.arange(1, 3001))
            np.testing.assert_array_equal(found[name].values, values)
        np.testing.assert_array_equal(found["train_loss"].steps, np.arange(10, 3001, 10))
    assert (home / "snapshots" / run / "unlisted" / "3000-asked.safetensors").exists()


def test_that_a_run_that_lost_a_message_is_resumed_from_before_it(home, store, experiment, source):
    run = _resumable(home, store, experiment, source)
    _lose(home, "DELETE FROM controls")
    with Store.open(home) as store:
        record = store.run(run)
        # The message may have come after any step.
        assert (record.status, record.steps) == ("interrupted", 0) and store.controls(run) == []
        writer = store.resume([run])
        assert writer.snapshots is None and writer.log == ()
        writer.close()


def test_that_a_finished_run_shows_the_steps_that_are_left(home, store, experiment, source):
    writer = store.begin([experiment], "thread")
    for first in range(1, 3000, 500):
        writer.record(source().block(first, first + 499))
    writer.record(source().ended(3000))
    writer.close()
    store.close()
    (run,) = writer.run_ids
    _lose(home, "DELETE FROM chunks WHERE number = 1 AND bundle = 0")
    with Store.open(home) as store:
        record = store.run(run)
        assert (record.status, record.steps) == ("finished", 3000)
        assert "parts of its series after step 1,024 are lost" in record.reason
        found = store.series(run)["batch_loss"]
        left = np.r_[1:1025, 2049:3001]
        np.testing.assert_array_equal(found.steps, left)
        np.testing.assert_array_equal(found.values, source().loss(left)[:, 0])
        assert len(store.series(run)["train_loss"].steps) == 300


class Killed(BaseException):
    pass


ACTS = ["os.replace", "os.link", "os.fsync", "pathlib.Path.unlink", "pathlib.Path.mkdir"]


@pytest.mark.parametrize("act", ACTS)
def test_that_a_kill_at_any_moment_of_a_salvage_loses_nothing(home, runs, act, tmp_path):
    _zero_page(home, _root(home, "runs"))
    _lose_snapshot_rows(home)
    files = {path.name: path.read_bytes() for path in home.rglob("*.safetensors")}
    damaged = (home / "optlab.sqlite").read_bytes()
    moments = 0
    while True:
        place = tmp_path / f"{moments}"
        shutil.copytree(home, place)
        left = moments
        with pytest.MonkeyPatch.context() as patch:
            name = act.rpartition(".")[2]
            real = getattr(Path if "Path" in act else os, name)

            def die(*arguments: object, real=real, **options: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return real(*arguments, **options)

            patch.setattr(act if "Path" in act else f"os.{name}", die)
            try:
                Store.open(place).close()
                killed = False
            except Killed:
                killed = True
        with Store.open(place) as store:
            assert {record.id for record in store.runs()} == set(runs)
            assert all(len(store.series(run)["batch_loss"].steps) == 40 for run in runs)
        kept = [folder / "optlab.sqlite" for folder in place.glob("damaged-*")]
        assert any(path.exists() and path.read_bytes() == damaged for path in kept)
        assert {path.name: path.read_bytes() for path in place.rglob("*.safetensors")} == files
        if not killed:
            break
        moments += 1
    assert moments >= 1


def _lose_snapshot_rows(home: Path) -> None:
    _zero_page(home, _root(home, "snapshots"))


_OPEN = """
import sys
from pathlib import Path
from optlab.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print(len(store.runs()), bool(store.notice))
"""


def test_that_of_several_processes_one_salvages(home, runs):
    _zero_page(home, _root(home, "runs"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _OPEN, str(home)]
    programs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    said = sorted(program.communicate(timeout=60)[0].split() for program in programs)
    assert said == [["20", "False"], ["20", "False"], ["20", "True"]]
    assert _aside(home).is_dir()


def test_that_a_damaged_frame_of_the_log_loses_no_later_one(home, store, experiment, source):
    holder = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
    holder.execute("SELECT count(*) FROM runs").fetchone()
    ids = []
    for _ in range(5):
        writer = store.begin([experiment], "thread")
        writer.record(source().block(1, 40))
        writer.close()
        ids += writer.run_ids
    store.close()
    left = home.with_name("left")
    shutil.copytree(home, left)
    holder.close()
    log = journal.path_of(left / "optlab.sqlite")
    data = bytearray(log.read_bytes())
    # A page of the first run's, which is written anew by the others.
    data[32 + 3 * (24 + PAGE) + 2000] ^= 1
    log.write_bytes(data)
    with Store.open(left) as store:
        assert "write-ahead log does not match" in store.notice
        assert {record.id for record in store.runs()} == set(ids)


def test_that_the_log_of_a_sound_store_is_sound_while_it_is_written(
    home, store, experiment, source
):
    writer = store.begin([experiment], "thread")
    path = home / "optlab.sqlite"
    for first in range(1, 2000, 20):
        writer._commit_at = 0.0
        writer.record(source().block(first, first + 19))
        assert not journal.is_damaged(path)
    found = journal.read(journal.path_of(path).read_bytes())
    assert found.pages and not found.damaged
    # As SQLite sees it.
    for number, page in found.pages.items():
        if number <= found.size:
            assert len(page) == PAGE
    writer.close()


def test_that_the_commands_say_what_was_done(home, runs, monkeypatch, capsys):
    monkeypatch.setenv("OPTLAB_HOME", str(home))
    _zero_page(home, _root(home, "runs"))
    assert main(["runs", "--json"]) == 0
    output = capsys.readouterr()
    assert {entry["id"] for entry in json.loads(output.out)} == set(runs)
    assert "was not changed" in output.err and len(output.err.splitlines()) == 1
    assert main(["doctor"]) in (0, 1)
    assert "was not changed" in capsys.readouterr().out
    with Store.open(home):
        pass
    assert main(["runs"]) == 0
    assert capsys.readouterr().err == ""


def test_that_an_old_store_is_salvaged_into_the_present_version(home, runs, make_older):
    make_older(home, 1)
    _zero_page(home, _root(home, "sqlite_autoindex_chunks_1"))
    with Store.open(home) as store:
        assert {record.id for record in store.runs()} == set(runs) and store.notice
        version = store._connection.execute("PRAGMA user_version").fetchone()[0]
        missing = store._connection.execute("SELECT count(*) FROM runs WHERE checksum IS NULL")
        assert version == len(migrations()) and missing.fetchone() == (0,)


def test_that_snapshots_without_entries_are_kept_aside(home, runs):
    _lose_snapshot_rows(home)
    with Store.open(home) as store:
        assert "parts of 20 runs" in store.notice
        assert all(store.snapshots(run) == [] for run in runs)
        assert "1 of its snapshots are lost" in store.run(runs[0]).reason
    for run in runs:
        folder = home / "snapshots" / run
        assert [path.name for path in folder.iterdir()] == [rescue.UNLISTED]
