"""``optlab doctor``: what works, what does not, and what to do about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import optlab
from optlab.cli.app import main
from optlab.core import display, paths
from optlab.tasks import doctor


def findings(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, dict[str, Any]]:
    assert main(["doctor", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is (code == 0)
    return {finding["part"]: finding for finding in document["findings"]}


def test_that_everything_that_was_asked_for_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys)
    parts = {
        "OptLab",
        "Python",
        "numpy",
        "torch",
        "devices",
        "threads",
        "C++ compiler",
        "window",
        "display",
        "data folder",
        "runs",
        "resources",
        "locale",
    }
    assert parts <= set(found)
    assert "cpu" in found["devices"]["words"]
    assert found["OptLab"]["words"].endswith(f", in {Path(optlab.__file__).resolve().parent}")
    assert not paths.home().exists(), "looking changes nothing"


def test_that_a_missing_compiler_is_said_and_is_no_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/usr/bin/env")
    assert findings(capsys)["C++ compiler"]["words"] == "/usr/bin/env"
    monkeypatch.setenv("CXX", "no-compiler")
    found = findings(capsys)["C++ compiler"]
    assert found["good"] and found["words"] == (
        "The variable CXX names no-compiler, which is not an executable. Only compiled steps and "
        "fused optimizers need it"
    )


def test_that_the_text_shows_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for finding in doctor.examine():
        assert finding.part in text
    assert "Training works." in text


def test_that_a_missing_display_is_a_problem_with_advice_but_not_fatal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "problem", lambda: "There is no display; start one")
    found = findings(capsys)
    assert (
        not found["display"]["good"]
        and found["display"]["advice"] == "There is no display; start one."
    )


def test_that_a_torch_that_cannot_be_loaded_is_fatal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[str]:
        raise ImportError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr("optlab.objective.device.available", broken)
    found = findings(capsys, 1)
    assert "libtorch.so" in found["torch"]["words"] and found["torch"]["advice"]


def test_that_missing_presets_are_fatal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "presets", lambda: tmp_path)
    assert not findings(capsys, 1)["resources"]["good"]


def test_that_a_data_folder_that_is_a_file_is_fatal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("OPTLAB_HOME", str(file / "home"))
    found = findings(capsys, 1)
    assert not found["data folder"]["good"] and "OPTLAB_HOME" in found["data folder"]["advice"]


def test_that_a_full_disk_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 2**80)
    assert "Make room" in findings(capsys)["data folder"]["advice"]


def test_that_the_qt_that_crashes_on_this_python_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor._installed
    monkeypatch.setattr(
        doctor, "_installed", lambda name: "6.12.0" if name == "PySide6-Essentials" else real(name)
    )
    assert findings(capsys)["window"]["good"] is (sys.version_info >= (3, 12))


def test_that_a_damaged_store_is_reported_and_not_fatal(capsys: pytest.CaptureFixture[str]) -> None:
    paths.home().mkdir()
    (paths.home() / "optlab.sqlite").write_bytes(b"this is no database" * 100)
    assert not findings(capsys)["runs"]["good"]
