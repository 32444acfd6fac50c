"""The pictures of the window are drawn for the screens that are asked for, one process each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def screenshots(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delenv("OPTLAB_SCREEN", raising=False)
    yield import_module("screenshots")
    for name in ("screenshots", "all_windows"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("options", "screens"),
    [
        ([], ["1280x720", "1920x1080", "200-percent"]),
        (["--screen", "200-percent"], ["200-percent"]),
        (["--screen=1280x720", "--screen=200-percent"], ["1280x720", "200-percent"]),
    ],
)
def test_that_only_the_screens_that_are_asked_for_are_drawn(
    screenshots: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    screens: list[str],
) -> None:
    drawn: list[tuple[str, dict[str, Any], float, list[str]]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> object:
        assert check is False
        (screen,) = json.loads(Path(env["QT_QPA_PLATFORM"].partition("=")[2]).read_text())[
            "screens"
        ]
        drawn.append((env["OPTLAB_SCREEN"], screen, float(env["QT_SCALE_FACTOR"]), command[2:]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(screenshots.subprocess, "run", run)
    assert screenshots.main([*options, str(tmp_path), "place-", "tile-"]) == 0
    assert [name for name, *_ in drawn] == screens
    for name, screen, scale, arguments in drawn:
        # What is asked for are logical pixels; the screen has as many times more.
        assert (screen["width"] / scale, screen["height"] / scale) == (
            (1920, 1080) if name == "1920x1080" else (1280, 720)
        )
        assert (scale == 2) is (name == "200-percent")
        assert arguments == [str(tmp_path / name), "place-", "tile-"]
        assert (tmp_path / name).is_dir()


def test_that_a_screen_that_is_not_there_ends_in_usage_and_a_failure_is_passed_on(
    screenshots: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        screenshots.main(["--screen", "640x480", str(tmp_path / "no")])
    assert stopped.value.code == 2 and "200-percent" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    monkeypatch.setattr(
        screenshots.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 3)
    )
    assert screenshots.main(["--screen", "200-percent", str(tmp_path)]) == 1
    assert "200-percent" in capsys.readouterr().err
