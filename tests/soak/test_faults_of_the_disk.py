"""Every write, fsync, rename and creation of a file that ``optlab run`` makes fails once, or from
then on.

Either all is stored and the command says so, or it fails, says that the run is not recorded, and
what is stored can be read. The faults are put between the program and the C library by
``faults.c``, which needs a C compiler (``cc``) and Linux. Run them with ``make soak``.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from optlab.store import Store

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

KINDS = ("write", "fsync", "rename", "create")
STEPS = 120


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run(
        [
            "cc",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            str(target),
            str(Path(__file__).with_name("faults.c")),
            "-ldl",
        ],
        check=True,
    )
    return target


def _run(
    shim: Path, home: Path, kind: str, at: int, *, lasting: bool, error: int = errno.EIO
) -> tuple[int, dict[str, object], str, int]:
    """The command's exit code, document and standard error, and how many acts of the kind there
    were.
    """
    count = home.with_name("count")
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LD_PRELOAD": str(shim),
        "FAULT_FOLDER": str(home),
        "FAULT_KIND": kind,
        "FAULT_AT": str(at),
        "FAULT_LASTING": str(int(lasting)),
        "FAULT_ERRNO": str(error),
        "FAULT_COUNT": str(count),
    }
    command = [
        sys.executable,
        "-m",
        "optlab",
        "run",
        "iris-softmax",
        "--steps",
        str(STEPS),
        "--runner",
        "thread",
        "--json",
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=120
    )
    return done.returncode, json.loads(done.stdout), done.stderr, int(count.read_text())


def _check(home: Path, code: int, document: dict[str, object], errors: str) -> None:
    assert "Traceback" not in errors
    if document["recorded"]:
        assert code == 0
    else:
        assert code == 1 and document["recorded"] is False
        assert str(document.get("recording_error") or document["error"]) in errors
    with Store.open(home) as store:
        for record in store.runs():
            found = store.series(record.id)
            stored = found["batch_loss"].steps if "batch_loss" in found else np.empty(0)
            np.testing.assert_array_equal(stored, np.arange(1, record.steps + 1))
            for snapshot in store.snapshots(record.id):
                assert store.load_snapshot(snapshot).step <= record.steps
            assert record.status == ("finished" if document["recorded"] else "interrupted")
        if document["recorded"]:
            assert [record.steps for record in store.runs()] == [STEPS]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", KINDS)
def test_that_a_fault_loses_nothing_or_is_said(shim, tmp_path, kind, lasting):
    (tmp_path / "none").mkdir()
    code, document, errors, total = _run(shim, tmp_path / "none" / "home", kind, 0, lasting=False)
    assert code == 0 and document["recorded"] is True and total > 0, errors
    outcomes = []
    for at in range(1, total + 1):
        place = tmp_path / str(at)
        place.mkdir()
        code, document, errors, count = _run(shim, place / "home", kind, at, lasting=lasting)
        _check(place / "home", code, document, errors)
        if count >= at and not lasting:
            assert document["recorded"] is True, f"{kind} {at} of {total} failed once: {errors}"
        outcomes.append(document["recorded"])
    print(
        f"{kind}, {'lasting' if lasting else 'once'}: {outcomes.count(True)} of {total} recorded "
        "in full"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_disk_that_is_full_for_a_moment_loses_nothing(shim, tmp_path, kind):
    (tmp_path / "none").mkdir()
    total = _run(shim, tmp_path / "none" / "home", kind, 0, lasting=False)[-1]
    for at in range(1, total + 1):
        place = tmp_path / str(at)
        place.mkdir()
        code, document, errors, _ = _run(
            shim, place / "home", kind, at, lasting=False, error=errno.ENOSPC
        )
        _check(place / "home", code, document, errors)
        assert document["recorded"] is True, f"{kind} {at} of {total}: {errors}"
