"""Ten thousand actions of a monkey in the window, which may write to the data folder alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "gui" / "seams" / "test_monkey.py"
ACTIONS = int(os.environ.get("MONKEY_ACTIONS", "10000"))

LOCKED = """
set -e
mount --bind "$OPTLAB_HOME" "$OPTLAB_HOME"
for folder in $(findmnt -rno TARGET | grep -v -e "^$OPTLAB_HOME" -e ^/proc -e ^/sys -e ^/dev); do
    mount -o remount,bind,ro "$folder"
done
if touch "$ELSEWHERE" 2>/dev/null; then
    echo "the file system is not locked: $ELSEWHERE can be written to" >&2
    exit 3
fi
exec "$@"
"""
"""Leaves the data folder as the only one that can be written to, in a mount namespace."""


@pytest.mark.timeout(7200)
def test_that_ten_thousand_actions_leave_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "ELSEWHERE": str(tmp_path / "elsewhere"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run(
        [
            *("unshare", "-rm", "bash", "-c", LOCKED, "locked"),
            *(sys.executable, "-X", "faulthandler", str(SCRIPT), str(ACTIONS)),
        ],
        env=environment,
        cwd=home,
        text=True,
        capture_output=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-12000:]
    assert "nothing is left behind" in done.stdout
