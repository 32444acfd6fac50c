"""One bare system for the whole session: the tests in it are steps of one person's story, in order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
DIST = ROOT / "dist"
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bare import Bare, CannotProve, Screen  # noqa: E402 - beside this file


def the_one(pattern: str) -> Path:
    """The newest file in ``dist`` of this pattern."""
    found = sorted(DIST.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.exit(f"dist holds no {pattern}: run make package first.", 2)
    return found[-1]


@pytest.fixture(scope="session")
def package() -> Path:
    return the_one("optlab_*.deb")


@pytest.fixture(scope="session")
def earlier() -> Path:
    """The same program under a lower version, packed lightly."""
    code = (
        "import datetime, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import "
        "linux; root = Path(sys.argv[2]); "
        "linux.deb(root / 'dist' / 'optlab', root / 'build' / 'icons', root / 'build', '0.0.1', "
        "datetime.date(2026, 1, 1), level=1)"
    )
    subprocess.run([sys.executable, "-c", code, str(HERE.parent), str(ROOT)], check=True)
    return next(BUILD.glob("optlab_0.0.1_*.deb"))


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    screen.close()


@pytest.fixture(scope="session")
def bare(screen: Screen) -> Iterator[Bare]:
    try:
        system = Bare(BUILD / "bare" / "base", BUILD / "bare" / "system")
    except CannotProve as problem:
        pytest.exit(str(problem), 2)
    yield system
    system.close()
