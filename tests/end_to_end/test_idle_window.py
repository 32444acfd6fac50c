"""What an open window costs while nobody touches it, seen from outside through the installed entry
point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ENTRY_POINT = Path(sys.executable).with_name("optlab")
INTERVAL = 5.0
"""Seconds over which processor time is counted: 1 % of them is 5 ticks of the kernel's clock."""
DEADLINE = 90.0


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time that a process and all its descendants have used."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total


def quietest_share(process: psutil.Process) -> float:
    """Return the smallest share of a core used in any interval; stop at the first below 1 %.

    Starting takes as long as it takes on a busy machine, so intervals are measured until one is
    quiet. A window that keeps working never has one.
    """
    shares: list[float] = []
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and (not shares or shares[-1] >= 0.01):
        before, start = processor_seconds(process), time.monotonic()
        time.sleep(INTERVAL)
        shares.append((processor_seconds(process) - before) / (time.monotonic() - start))
    return min(shares)


def test_that_an_idle_window_uses_less_than_one_percent_of_a_core_and_ends_on_request(
    tmp_path: Path,
) -> None:
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(tmp_path / "home"),
        "QT_QPA_PLATFORM": "offscreen",
    }
    opened = subprocess.Popen(
        [ENTRY_POINT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        process = psutil.Process(opened.pid)
        # Only a window that has imported its libraries can be idle.
        end = time.monotonic() + DEADLINE
        while not any(
            "pyqtgraph" in one.path or "QtWidgets" in one.path for one in process.memory_maps()
        ):
            assert opened.poll() is None, opened.communicate()
            assert time.monotonic() < end, "the window did not start"
            time.sleep(0.2)
        assert quietest_share(process) < 0.01
        opened.send_signal(signal.SIGTERM)
        _, errors = opened.communicate(timeout=30)
    finally:
        opened.kill()
        opened.wait()
    assert opened.returncode == 0, errors
    assert "Traceback" not in errors
