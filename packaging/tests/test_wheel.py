"""The wheel and the source archive: what is in them, and that a plain ``pip install`` of the wheel
works without Qt and with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, the_one

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Fresh:
    """A virtual environment that has the wheel and what it asks for."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        } | {"OPTLAB_HOME": str(home)}
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)

    def install(self, *requirements: str) -> None:
        """``pip install``, held to the tested versions."""
        pip = [
            str(self.folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "-c",
            str(ROOT / "constraints.txt"),
        ]
        done = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def optlab(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The installed command, far from the checkout."""
        command = [str(self.folder / "bin" / "optlab"), *words]
        return subprocess.run(
            command, cwd="/", env=self.environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def wheel() -> Path:
    return the_one("optlab-*.whl")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    yield Fresh(BUILD / "fresh", tmp_path_factory.mktemp("home"))


def test_that_the_wheel_holds_all_that_is_no_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern, inside in (
        ("optlab", "**/*.py", "optlab"),
        ("optlab/store/migrations", "*.sql", "optlab/store/migrations"),
        ("resources", "**/*.*", "optlab/_resources"),
    ):
        files = [
            path.relative_to(ROOT / folder).as_posix()
            for path in (ROOT / folder).glob(pattern)
            if path.is_file()
        ]
        assert files
        assert [name for name in files if f"{inside}/{name}" not in names] == []


def test_that_the_source_archive_is_enough_to_test_and_to_package() -> None:
    with tarfile.open(the_one("optlab-*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "Makefile",
        "constraints.txt",
        "packaging/optlab.spec",
        "packaging/requirements.txt",
        "tests/conftest.py",
    } <= names
    assert not [name for name in names if name.startswith(("build/", "dist/", ".venv/"))]


def test_that_the_wheel_trains_without_qt(wheel: Path, fresh: Fresh) -> None:
    fresh.install("--no-deps", "torch")
    fresh.install(str(wheel))
    assert "PySide6_Essentials" not in os.listdir(
        next((fresh.folder / "lib").glob("python*")) / "site-packages"
    )
    done = fresh.optlab("run", "digits-mlp", "--steps", "100", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "finished"
    window = fresh.optlab()
    assert (window.returncode, window.stderr.count("\n")) == (2, 1)


def test_that_the_wheels_window_trains(wheel: Path, fresh: Fresh, tmp_path: Path) -> None:
    fresh.install(f"{wheel}[gui]")
    fresh.environment["QT_QPA_PLATFORM"] = "offscreen"
    done = fresh.optlab("--smoke", str(tmp_path / "window.png"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "window.png").stat().st_size > 10_000
