"""packaging/prepare.py: what it asks pip for, and the sentences with which it refuses."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "packaging" / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("choice", "arguments"),
    [
        ("", ["torch==2.13.0"]),
        ("2.12.1", ["torch==2.12.1"]),
        ("torch-2.13.0-cp311-linux_x86_64.whl", ["torch-2.13.0-cp311-linux_x86_64.whl"]),
        ("https://example.org/cpu", ["--index-url", "https://example.org/cpu", "torch==2.13.0"]),
    ],
)
def test_that_the_choice_of_torch_becomes_pips_arguments(
    prepare: ModuleType, choice: str, arguments: list[str]
) -> None:
    assert prepare.torch_arguments(choice, "2.13.0") == arguments


def test_that_a_build_is_a_local_version_on_linux_only(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert prepare.torch_arguments("cpu", "2.13.0") == ["torch==2.13.0+cpu"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert prepare.torch_arguments("cpu", "2.13.0") == ["torch==2.13.0"]


def test_that_no_later_step_replaces_the_torch_that_is_installed(prepare: ModuleType) -> None:
    held = prepare.with_torch("numpy==2.0\ntorch==2.13.0  # why\n", "2.13.0+cpu")
    assert "torch==2.13.0+cpu" in held and "numpy==2.0" in held


def test_that_the_constraints_pin_torch(prepare: ModuleType) -> None:
    assert re.fullmatch(
        r"\d+\.\d+\.\d+",
        prepare.pinned_torch((ROOT / "constraints.txt").read_text(encoding="utf-8")),
    )


@pytest.mark.parametrize(
    ("version", "venv", "words"), [((3, 9, 2), True, "3.9.2"), ((3, 12, 0), False, "python3-venv")]
)
def test_that_an_unfit_python_is_refused_with_what_to_do(
    prepare: ModuleType, version: tuple[int, ...], venv: bool, words: str
) -> None:
    with pytest.raises(prepare.CannotPrepare, match=words):
        prepare.check_interpreter(version, venv)


def test_that_missing_libraries_are_asked_for_by_package(prepare: ModuleType) -> None:
    sentence = prepare.ask_for_libraries(["libEGL.so.1"], debian=True)
    assert "apt-get install libegl1" in sentence and "\n" not in sentence
    assert "libEGL.so.1" in prepare.ask_for_libraries(["libEGL.so.1"], debian=False)


def test_that_a_virtual_screen_comes_with_what_xvfb_run_needs(prepare: ModuleType) -> None:
    there = {"font": True, "compiler": True}
    assert prepare.wanted_packages([], virtual_screen=False, **there) == ["xvfb", "xauth"]
    assert prepare.wanted_packages([], virtual_screen=True, **there) == []


def test_that_the_tests_get_a_compiler(prepare: ModuleType) -> None:
    there = {"font": True, "virtual_screen": True}
    assert prepare.wanted_packages([], compiler=False, **there) == ["g++"]
