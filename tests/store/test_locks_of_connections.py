"""A process keeps the locks of its connections whatever else it opens.

Otherwise another process takes its own connection for the last one when it closes it, and removes
the write-ahead log that is still in use.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from optlab.store import Store


def locked(path: Path) -> bool:
    """Whether this process holds a lock on a file, as another one sees it."""
    asks = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    try:\n"
        "        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 512, 0x40000000)\n"
        "    except OSError:\n"
        "        sys.exit(3)\n"
    )
    return subprocess.run([sys.executable, "-c", asks, str(path)], check=False).returncode == 3


def test_that_opening_a_store_again_drops_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "optlab.sqlite"
    with Store.open(tmp_path) as first:
        assert first.runs() == [] and locked(path)
        with Store.open(tmp_path), Store.open_readonly(tmp_path):
            assert locked(path)
        writer = first.begin_study("question = 'q'", "q")
        writer.close()
        assert locked(path)
        assert [one.question for one in first.studies()] == ["q"]
    assert not locked(path)
