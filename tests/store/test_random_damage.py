"""Random damage to the files of a store: after each, what is shown is right, or a sentence says what
is damaged; no run or study whose rows are untouched is lost.

``make test`` takes a few damages of each kind, ``make soak`` many.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.core.errors import StoreError
from optlab.experiment import Experiment
from optlab.store import RunRecord, Store, StoredSeries, StudyRecord, StudyRun, journal
from optlab.store.pages import Pages, Tree
from optlab.store.records import missing_runs
from optlab.training.control import SetValue
from optlab.training.events import MessageApplied

PAGE = 4096
RUNS = 12
STEPS = 1500
DAMAGED = "the store was damaged"


@dataclass
class Sound:
    """A store and what is in it: with everything in the file, or with a write-ahead log."""

    home: Path
    records: dict[str, RunRecord]
    series: dict[str, dict[str, StoredSeries]]
    controls: dict[str, list[object]]
    snapshots: dict[str, dict[tuple[int, str], np.ndarray]]
    studies: dict[str, StudyRecord]
    study_runs: dict[str, list[StudyRun]]
    pages: dict[str, set[int]]
    """Run or study → the pages on which anything of it lies."""


def _experiment(title: str) -> Experiment:
    return Experiment.from_dict(
        {"title": title, "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
    )


def _fill(home: Path, source, first: int, runs: int) -> None:
    with Store.open(home) as store:
        for number in range(first, first + runs):
            if number % 3 == 0:
                study = store.begin_study(f"# {'long ' * 1500}", f"Study number {number}?")
            writer = store.begin([_experiment(f"Run number {number}")], "thread")
            session = source()
            steps = STEPS if number % 3 == 0 else 40
            for run in writer.run_ids:
                entry = StudyRun(run=run, arm="a", role="decides", seed=0, number=number)
                study.add_runs([entry])
            writer.record(session.started())
            for at in range(0, steps, 20):
                if at == 20:
                    writer.record(MessageApplied(at, SetValue("optimizer.lr", 0.5)))
                    writer.record(session.kept(at, "asked"))
                writer._commit_at = 0.0
                writer.record(session.block(at + 1, at + 20))
            writer.record(session.kept(steps, "end"))
            if number % 4:
                writer.record(session.ended(steps))
            writer.close()
            if number % 3 == 2:
                if number % 2:
                    study.finish("finished", {"verdict": "supported", "effect": 0.25})
                study.close()


def _contents(home: Path) -> Sound:
    with Store.open_readonly(home) as store:
        records = {record.id: record for record in store.runs()}
        assert store.notice == store.hidden == ""
        series = {run: store.series(run) for run in records}
        controls = {run: store.controls(run) for run in records}
        snapshots = {
            run: {
                (kept.step, kept.reason): store.load_snapshot(kept).theta
                for kept in store.snapshots(run)
            }
            for run in records
        }
        studies = {study.id: study for study in store.studies()}
        study_runs = {study: store.study_runs(study) for study in studies}
        assert store.hidden == ""
    return Sound(home, records, series, controls, snapshots, studies, study_runs, {})


def _pages_of_rows(home: Path) -> dict[str, set[int]]:
    """Find the pages on which anything of a run or a study lies, in a copy without a log."""
    copy = home.with_name("checkpointed")
    shutil.copytree(home, copy)
    connection = sqlite3.connect(copy / "optlab.sqlite")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    found: dict[str, set[int]] = {}
    with contextlib.closing(Pages(copy / "optlab.sqlite")) as pages:
        for (root,) in roots:
            tree, before = Tree(), set()
            for row in pages.rows(root, tree):
                # The row's own, on which it goes on, and those that led to it.
                found.setdefault(str(row[0]), set()).update(tree.pages - before)
                before = set(tree.pages)
            for page in tree.pages:
                for row in pages.leaf_rows(page):
                    found.setdefault(str(row[0]), set()).add(page)
            assert tree.problems == 0
    shutil.rmtree(copy)
    return found


@pytest.fixture(scope="module")
def stores(tmp_path_factory, source) -> list[Sound]:
    """The same runs in a file alone, and half of them in a log."""
    stores = []
    for name in ("closed", "killed"):
        home = tmp_path_factory.mktemp(name) / "home"
        holder = None
        if name == "killed":
            _fill(home, source, 0, RUNS // 2)
            # While another connection is open, the log stays when the store is closed.
            holder = sqlite3.connect(home / "optlab.sqlite", isolation_level=None)
            holder.execute("PRAGMA wal_autocheckpoint = 0")
            holder.execute("SELECT count(*) FROM runs").fetchone()
        _fill(home, source, RUNS // 2 if holder else 0, RUNS // 2 if holder else RUNS)
        if holder:
            left = home.with_name("left")
            shutil.copytree(home, left)
            holder.close()
            shutil.rmtree(home)
            home = left
            assert (home / "optlab.sqlite-wal").stat().st_size > 100 * PAGE
        copy = home.with_name("read")
        shutil.copytree(home, copy)
        sound = _contents(copy)
        sound.home, sound.pages = home, _pages_of_rows(home)
        assert len(sound.records) == RUNS and len(sound.studies) == RUNS // 3
        assert sound.pages.keys() == sound.records.keys() | sound.studies.keys()
        stores.append(sound)
    return stores


# --- kinds of damage: each returns the pages that it touched, None if it may undo commits ---------


def _touched(path: Path, begin: int, end: int) -> set[int]:
    """The pages of which bytes lie in a range of a file."""
    if not path.name.endswith("-wal"):
        return set(range(begin // PAGE + 1, (end - 1) // PAGE + 2))
    data = path.read_bytes()
    size = 24 + PAGE
    # The checksum of a frame goes on from that of the frame before.
    last = min(max(0, end - 33) // size + 1, (len(data) - 32) // size - 1)
    frames = range(max(0, begin - 32) // size, last + 1)
    return {int.from_bytes(data[32 + at * size :][:4], "big") for at in frames}


def _overwrite(path: Path, at: int, piece: bytes) -> set[int] | None:
    touched = _touched(path, at, at + len(piece))
    if path.name.endswith("-wal") and at + len(piece) > path.stat().st_size - PAGE - 24:
        # The last frame: it may look like one of an older log.
        touched = None
    with path.open("r+b") as file:
        file.seek(at)
        file.write(piece)
    return touched


def _flip(path: Path, chance: random.Random, at: int | None = None) -> set[int] | None:
    data = path.read_bytes()
    at = chance.randrange(len(data)) if at is None else at
    return _overwrite(path, at, bytes((data[at] ^ 1 << chance.randrange(8),)))


def _flip_of_the_header(path: Path, chance: random.Random) -> set[int] | None:
    return _flip(path, chance, chance.randrange(100))


def _noise(path: Path, chance: random.Random) -> set[int] | None:
    length = chance.choice((8, 512, 5000))
    at = chance.randrange(max(1, path.stat().st_size - length))
    return _overwrite(path, at, chance.randbytes(min(length, path.stat().st_size - at)))


def _zeroed_page(path: Path, chance: random.Random) -> set[int] | None:
    size = path.stat().st_size
    at = chance.randrange(-(-size // PAGE)) * PAGE
    return _overwrite(path, at, bytes(min(PAGE, size - at)))


def _misplaced_page(path: Path, chance: random.Random) -> set[int] | None:
    data = path.read_bytes()
    count = max(1, len(data) // PAGE)
    old, new = (chance.randrange(count) for _ in range(2))
    return _overwrite(path, new * PAGE, data[old * PAGE : (old + 1) * PAGE])


def _truncated(path: Path, chance: random.Random) -> set[int] | None:
    data = path.read_bytes()
    length = chance.choice((0, chance.randrange(len(data)), chance.randrange(len(data))))
    touched = _touched(path, length, len(data))
    path.write_bytes(data[:length])
    return None if path.name.endswith("-wal") else touched


def _removed(path: Path, chance: random.Random) -> set[int] | None:
    touched = _touched(path, 0, max(1, path.stat().st_size))
    path.unlink()
    return None if path.name.endswith("-wal") else touched


def _garbage(path: Path, chance: random.Random) -> set[int] | None:
    touched = _touched(path, 0, path.stat().st_size)
    path.write_bytes(b"no database at all " * 1000)
    return None if path.name.endswith("-wal") else touched


KINDS: tuple[Callable[[Path, random.Random], set[int] | None], ...] = (
    _flip,
    _flip_of_the_header,
    _noise,
    _zeroed_page,
    _misplaced_page,
    _truncated,
    _removed,
    _garbage,
)


# --- the judge ------------------------------------------------------------------------------------


def _judge(sound: Sound, home: Path, touched: set[int] | None) -> str:
    """Look at a damaged store as a reader, by the command and as a writer; how it was met."""
    with Store.open_readonly(home) as store:
        before = _bytes(home)
        _check(sound, store, touched)
        read = store.notice
    assert _bytes(home) == before
    _check_command(home)
    with Store.open(home) as store:
        _check(sound, store, touched)
        assert bool(store.notice) == bool(read)
        notice = store.notice
    with Store.open(home) as store:
        assert store.notice == ""
        _check(sound, store, touched, said=bool(notice))
        # Work goes on.
        store.begin([_experiment("Another")], "thread").close()
    if notice:
        (aside,) = home.glob("damaged-*")
        assert str(aside) in notice and (aside / "what-was-saved.txt").exists()
        assert "\n" not in notice and notice.endswith(".")
    return "set aside" if notice else "gone on with"


def _bytes(home: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in home.rglob("*")
        # SQLite's own, by which readers coordinate.
        if path.is_file() and not path.name.endswith("-shm")
    }


def _check_command(home: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setenv("OPTLAB_HOME", str(home))
        code = main(["runs", "--json"])
    assert code == 0 and isinstance(json.loads(out.getvalue()), list), err.getvalue()
    assert "Traceback" not in err.getvalue() and "defect" not in err.getvalue()


def _check(sound: Sound, store: Store, touched: set[int] | None, *, said: bool = False) -> None:
    shown = {record.id: record for record in store.runs() if record.title.startswith("Run number")}
    assert shown.keys() <= sound.records.keys()
    said = said or bool(store.notice or store.hidden)
    for run, record in sound.records.items():
        if run in shown:
            whole = touched is not None and not sound.pages[run] & touched
            assert not whole or shown[run] == record
            _check_run(sound, store, shown[run], rolled_back=touched is None, said=said)
        elif touched is not None:
            assert said, f"{run} is gone without a word"
            assert sound.pages[run] & touched, f"{record.title} is lost although it is untouched"
    _check_studies(sound, store, touched, said=said)


def _check_studies(sound: Sound, store: Store, touched: set[int] | None, *, said: bool) -> None:
    shown = {study.id: study for study in store.studies()}
    assert shown.keys() <= sound.studies.keys()
    said = said or bool(store.hidden)
    for study, expected in sound.studies.items():
        if study not in shown:
            if touched is not None:
                assert said, f"{study} is gone without a word"
                assert sound.pages[study] & touched, f"{study} is lost although it is untouched"
            continue
        record, entries = shown[study], sound.study_runs[study]
        own = sound.pages[study].union(*(sound.pages[entry.run] for entry in entries))
        partial = touched is None or DAMAGED in record.reason
        if not partial or (touched is not None and not own & touched):
            assert record == expected
        assert (record.question, record.document) == (expected.question, expected.document)
        assert record.result in (expected.result, {})
        try:
            found = store.study_runs(study)
        except StoreError as error:
            assert study in str(error) and own & (touched or own)
        else:
            assert [entry for entry in entries if entry in found] == found
            assert found == entries or partial or missing_runs(record, found)
            assert found == entries or touched is None or own & touched


def _check_run(
    sound: Sound, store: Store, record: RunRecord, *, rolled_back: bool, said: bool
) -> None:
    expected = sound.records[record.id]
    partial = rolled_back or DAMAGED in record.reason
    if not partial:
        assert record == expected
    assert (record.title, record.experiment, record.created) == (
        expected.title,
        expected.experiment,
        expected.created,
    )
    assert record.steps <= expected.steps
    try:
        found = store.series(record.id)
    except StoreError as error:
        assert record.id in str(error)
        found = {}
        partial = True
    for name, values in sound.series[record.id].items():
        if name not in found:
            assert partial, name
            continue
        rows = np.isin(values.steps, found[name].steps)
        assert rows.all() or partial, name
        np.testing.assert_array_equal(found[name].steps, values.steps[rows])
        np.testing.assert_array_equal(found[name].values, values.values[rows])
    try:
        messages = store.controls(record.id)
        assert messages == sound.controls[record.id][: len(messages)]
        assert partial or len(messages) == len(sound.controls[record.id])
    except StoreError as error:
        assert record.id in str(error)
    entries = store.snapshots(record.id)
    assert partial or said or len(entries) == len(sound.snapshots[record.id])
    for entry in entries:
        try:
            theta = store.load_snapshot(entry).theta
        except StoreError as error:
            assert record.id in str(error)
        else:
            np.testing.assert_array_equal(
                theta, sound.snapshots[record.id][entry.step, entry.reason]
            )


def _damage(sound: Sound, home: Path, seed: int) -> tuple[str, set[int] | None]:
    """Damage a copy of a store; what was done, and the pages that it touched."""
    shutil.copytree(sound.home, home)
    chance = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    databases = [home / "optlab.sqlite"]
    if (log := journal.path_of(databases[0])).exists():
        databases.append(log)
    files = sorted((home / "snapshots").rglob("*.safetensors"))
    path = chance.choice(databases * 3 + [chance.choice(files)])
    touched = kind(path, chance)
    name = path.suffix if path in files else path.name
    return f"{kind.__name__[1:]} of {name}", set() if path in files else touched


def _run(stores: list[Sound], folder: Path, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    problems: list[Exception] = []
    for seed in seeds:
        home = folder / str(seed)
        what, touched = "", None
        try:
            what, touched = _damage(stores[seed // len(KINDS) % 2], home, seed)
            outcomes[_judge(stores[seed // len(KINDS) % 2], home, touched)] += 1
        except StoreError as error:
            # Of all damage, only a version that has grown looks like a newer file.
            assert "newer OptLab" in str(error), (seed, what)
            outcomes["refused as newer"] += 1
        except Exception as error:  # noqa: BLE001 - all that fail are shown, with their seeds
            error.add_note(f"seed {seed}: {what}")
            problems.append(error)
        shutil.rmtree(home)
    if problems:
        raise ExceptionGroup("after random damage", problems)
    return outcomes


@pytest.mark.soak
def test_that_random_damage_is_never_shown_as_true_nor_loses_untouched_runs(stores, tmp_path):
    outcomes = _run(stores, tmp_path, range(32))
    print(outcomes)
    assert outcomes["set aside"] and outcomes["gone on with"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_that_much_random_damage_is_never_shown_as_true_nor_loses_untouched_runs(stores, tmp_path):
    print(dict(_run(stores, tmp_path, range(32, 32 + 480))))
