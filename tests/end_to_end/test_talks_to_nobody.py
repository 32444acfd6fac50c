"""OptLab opens no connection and listens to nobody by itself: an audit hook in the interpreter sees
every socket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import json, socket, sys
seen = []
names = ("bind", "connect", "sendto", "sendmsg", "getaddrinfo", "gethostbyname")
names = (*("socket." + name for name in names), "urllib.Request", "http.client.connect")

def hook(event, args):
    if event in names and not (hasattr(args[0], "family") and args[0].family == getattr(socket, "AF_UNIX", None)):
        seen.append([event, repr(args[1:])])

sys.addaudithook(hook)
from optlab.entry import main
code = main(json.loads(sys.argv[1]))
with open(sys.argv[2], "w") as file:
    json.dump({"code": code, "seen": seen}, file)
"""


def watched(words: list[str], tmp_path: Path) -> dict[str, object]:
    """What the program did when it was called with these words."""
    report = tmp_path / "report.json"
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(tmp_path / "home"),
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", WATCHED, json.dumps(words), str(report)]
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=110)
    found: dict[str, object] = json.loads(report.read_text())
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["run", "iris-softmax", "--steps", "20", "--json"],
        pytest.param(["list", "optimizers"], marks=pytest.mark.soak),
        pytest.param(["doctor"], marks=pytest.mark.soak),
        ["--smoke", "PICTURE"],
    ],
    ids=["run", "list", "doctor", "window"],
)
def test_that_it_opens_no_connection_and_listens_to_nobody(
    words: list[str], tmp_path: Path
) -> None:
    words = [str(tmp_path / "window.png") if word == "PICTURE" else word for word in words]
    assert watched(words, tmp_path) == {"code": 0, "seen": []}


def test_that_the_hook_would_see_a_connection(tmp_path: Path) -> None:
    script = WATCHED.replace(
        "from optlab.entry import main",
        "def main(words):\n    socket.socket().bind(('127.0.0.1', 0))\n    return 0",
    )
    report = tmp_path / "report.json"
    subprocess.run(
        [sys.executable, "-c", script, "[]", str(report)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(report.read_text())["seen"][0][0] == "socket.bind"
