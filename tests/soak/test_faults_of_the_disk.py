"""Every write, fsync, rename and creation of a file that ``optlab run`` makes fails: once, for a
while, or from then on; because of the disk or because it is full; wholly or after half of the bytes.

Either all is stored and the command says so, or it fails, says that the run is not recorded, and
what is stored can be read. The faults are put between the program and the C library by
``faults.c``, which needs a C compiler (``cc``) and Linux; ``fault_server.py`` makes a run cheap, so
that each position has one of its own. ``make test`` takes a few positions of each kind, ``make
soak`` all.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.store import Store

pytestmark = pytest.mark.timeout(1800)


def _where_possible(test: Callable[..., None]) -> Callable[..., None]:
    """Let ``make test`` run a test where there is a C compiler.

    Elsewhere it has the faults above the C library, in ``tests/store/test_recording_faults.py``.
    """
    return test if shutil.which("cc") else pytest.mark.soak(test)


STEPS = 120
COMMAND = ("run", "iris-softmax", "--steps", str(STEPS), "--runner", "thread")
KINDS = ("write", "fsync", "rename", "create")


@dataclass(frozen=True)
class Fault:
    """How calls fail; ``times``, ``error`` and ``part`` as in ``faults.c``.

    ``interrupt``: seconds from the first fault to Ctrl-C. ``harmless``: whether all is recorded all
    the same.
    """

    times: int
    error: int
    part: int = 0
    interrupt: float = 0.0
    harmless: bool = False


FAULTS = {
    "once": Fault(1, errno.EIO, harmless=True),
    "lasting": Fault(0, errno.EIO),
    "full for a moment": Fault(1, errno.ENOSPC, harmless=True),
    "full for a while": Fault(3, errno.ENOSPC, harmless=True),
    "full for good": Fault(0, errno.ENOSPC, interrupt=1.0),
}
WRITE_FAULTS = {
    "full after half of the bytes, for a moment": Fault(2, errno.ENOSPC, part=1, harmless=True),
    "full after half of the bytes, for good": Fault(0, errno.ENOSPC, part=1, interrupt=1.0),
}
_FAULTS = FAULTS | WRITE_FAULTS
CASES = [(kind, name) for kind in KINDS for name in FAULTS] + [
    ("write", name) for name in WRITE_FAULTS
]

Order = dict[str, Any]
Runner = Callable[[Iterable[Order]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shim") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(
        ["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl"],
        check=True,
    )
    return target


@pytest.fixture(scope="module")
def run_all(shim: Path) -> Runner:
    """Run the orders; their outcomes, in any order."""

    def run(orders: Iterable[Order]) -> list[dict[str, Any]]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "LD_PRELOAD": str(shim),
            # No threads of torch's, which a fork would not take along.
            "OMP_NUM_THREADS": "1",
        }
        # Most of them wait most of the time.
        server = [
            sys.executable,
            str(Path(__file__).with_name("fault_server.py")),
            str(3 * (os.cpu_count() or 1)),
        ]
        done = subprocess.run(
            server,
            input="".join(f"{json.dumps(order)}\n" for order in orders),
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def _order(folder: Path, name: str, kind: str, at: int, fault: Fault) -> Order:
    files = folder / f"{name}-{kind}-{at}".replace(" ", "-")
    files.mkdir(parents=True)
    return {
        "command": COMMAND,
        "name": name,
        "home": str(files / "home"),
        "files": str(files),
        "kind": kind,
        "at": at,
        "times": fault.times,
        "error": fault.error,
        "part": fault.part,
        "interrupt": fault.interrupt,
    }


@pytest.fixture(scope="module")
def totals(run_all: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The number of calls of each kind in a run without faults."""
    folder = tmp_path_factory.mktemp("none")
    totals = {}
    for outcome in run_all([_order(folder, "none", kind, 0, Fault(0, 0)) for kind in KINDS]):
        assert outcome["code"] == 0 and _check(outcome), outcome
        assert outcome["count"] > 0 == outcome["failed"]
        totals[outcome["order"]["kind"]] = outcome["count"]
    return totals


def _check(outcome: dict[str, Any]) -> bool:
    """Check what a run left; whether all was recorded."""
    errors, code = outcome["err"], outcome["code"]
    assert "Traceback" not in errors and "defect" not in errors, errors
    document = json.loads(outcome["out"])
    recorded = document.get("recorded") is True
    if not recorded:
        assert code in (1, 130), (code, document)
        said = document.get("recording_error") or document.get("error") or document["reason"]
        assert said in errors, (document, errors)
    with Store.open(Path(outcome["order"]["home"])) as store:
        runs = store.runs()
        for record in runs:
            found = store.series(record.id)
            stored = found["batch_loss"].steps if "batch_loss" in found else np.empty(0)
            np.testing.assert_array_equal(stored, np.arange(1, record.steps + 1))
            for snapshot in store.snapshots(record.id):
                assert store.load_snapshot(snapshot).step <= record.steps
        if recorded and document["status"] == "finished":
            assert code == 0 and [(run.steps, run.status) for run in runs] == [(STEPS, "finished")]
        else:
            assert code != 0
            assert all(run.status in ("interrupted", "stopped") for run in runs)
    return recorded


def _outcome(fault: Fault, outcome: dict[str, Any]) -> str:
    """Check one run, and say in a word how it ended."""
    where = f"{outcome['order']}: {outcome['code']}, {outcome['err']}"
    try:
        recorded = _check(outcome)
    except AssertionError as error:
        raise AssertionError(where) from error
    # Calls vary with time: a commit more, a commit less.
    if not outcome["failed"]:
        return "not reached"
    assert recorded or not fault.harmless, where
    return "recorded in full" if recorded else "said"


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}-{name}" for kind, name in CASES])
def test_that_no_fault_at_any_position_loses_anything_unsaid(run_all, totals, tmp_path, kind, name):
    fault, positions = _FAULTS[name], range(1, totals[kind] + 1)
    outcomes = Counter(
        _outcome(fault, outcome)
        for outcome in run_all([_order(tmp_path, name, kind, at, fault) for at in positions])
    )
    print(f"{kind}, {name}: {len(positions)} positions: {dict(outcomes)}")
    assert outcomes["not reached"] <= 0.1 * len(positions)


@pytest.mark.soak
@_where_possible
def test_that_a_few_faults_of_each_kind_lose_nothing_unsaid(run_all, totals, tmp_path):
    orders = []
    for kind, name in CASES:
        total, fault = totals[kind], _FAULTS[name]
        # Early ones meet the creation of the store, late ones the end of the run.
        positions = {total // 2 + 1} if fault.interrupt else {1, total // 2 + 1, total}
        orders += [_order(tmp_path, name, kind, at, fault) for at in sorted(positions)]
    by_case: dict[str, Counter[str]] = {}
    for outcome in run_all(orders):
        name = outcome["order"]["name"]
        by_case.setdefault(name, Counter())[_outcome(_FAULTS[name], outcome)] += 1
    assert by_case.keys() == _FAULTS.keys()
    assert by_case["lasting"]["said"] and by_case["full for good"]["said"], by_case
