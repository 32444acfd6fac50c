"""Runs ``optlab run`` many times with one fault each, in children of a process that has imported
all that it needs: a program for ``test_faults_of_the_disk.py``.

It is started with the library of ``faults.c`` in ``LD_PRELOAD``. Each line of standard input is one
run as JSON, and each line of standard output its outcome, in the order in which runs end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from optlab.cli.app import main

SECONDS = 60.0
"""Seconds after which a run counts as hung."""


def _interrupt(faults: ctypes.CDLL, seconds: float, ended: threading.Event) -> None:
    """Press Ctrl-C some time after the first fault, unless the command has ended."""
    while not faults.fault_failed():
        if ended.wait(0.01):
            return
    if not ended.wait(seconds):
        os.kill(os.getpid(), signal.SIGINT)


def _run(order: dict[str, Any]) -> int:
    """Run the command in this process, a child; the exit code."""
    faults = ctypes.CDLL(None)
    home = Path(order["home"])
    os.environ["OPTLAB_HOME"] = str(home)
    faults.fault_count.restype = faults.fault_failed.restype = ctypes.c_long
    faults.fault_arm(
        os.fsencode(home),
        order["kind"].encode(),
        ctypes.c_long(order["at"]),
        ctypes.c_long(order["times"]),
        ctypes.c_long(order["error"]),
        ctypes.c_long(order["part"]),
    )
    ended = threading.Event()
    if order["interrupt"]:
        waiting = (faults, order["interrupt"], ended)
        threading.Thread(target=_interrupt, args=waiting, daemon=True).start()
    try:
        code = main([*order["command"], "--json"])
    except BaseException:  # noqa: BLE001 - whatever it is, the test has to see it
        traceback.print_exc()
        code = 99
    ended.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    counts = {"count": faults.fault_count(), "failed": faults.fault_failed()}
    faults.fault_arm(b"", b"", *(ctypes.c_long(0) for _ in range(4)))
    sys.stdout.flush()
    sys.stderr.flush()
    Path(order["files"], "counts").write_text(json.dumps(counts))
    return code


def _begin(order: dict[str, Any]) -> int:
    """Fork a child for a run; its process id."""
    child = os.fork()
    if child:
        return child
    for handle, name in ((1, "out"), (2, "err")):
        file = os.open(Path(order["files"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, handle)
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 - for good
    sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 - for good
    code = 98
    try:
        code = _run(order)
    finally:
        os._exit(code)


def _outcome(order: dict[str, Any], status: int) -> dict[str, Any]:
    files = Path(order["files"])
    counts = files / "counts"
    return {
        "order": order,
        "code": os.waitstatus_to_exitcode(status),
        "out": (files / "out").read_text(),
        "err": (files / "err").read_text(),
        **(json.loads(counts.read_text()) if counts.exists() else {"count": 0, "failed": 0}),
    }


def serve(at_once: int) -> None:
    """Run what standard input asks for, ``at_once`` runs at a time."""
    # Everything that a run imports is imported once, here.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OPTLAB_HOME"] = folder
        standard, sys.stdout = sys.stdout, sys.stderr
        main(["run", "iris-softmax", "--steps", "5", "--runner", "thread", "--json"])
        sys.stdout = standard
    assert threading.active_count() == 1, threading.enumerate()
    orders = (json.loads(line) for line in sys.stdin)
    going: dict[int, tuple[dict[str, Any], float]] = {}
    more = True
    while more or going:
        while more and len(going) < at_once:
            order = next(orders, None)
            if order is None:
                more = False
            else:
                going[_begin(order)] = order, time.monotonic()
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            print(json.dumps(_outcome(going.pop(child)[0], status)), flush=True)
        else:
            for slow, (_, began) in going.items():
                if time.monotonic() - began > SECONDS:
                    os.kill(slow, signal.SIGKILL)
            time.sleep(0.005)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
