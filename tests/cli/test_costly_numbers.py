"""Numbers of thousands of digits, and documents that would take minutes, end in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from optlab.core import paths, registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General

DIGITS = "9" * 5_000
NUMBERS = [
    *(("", field.name) for field in General.fields() if field.kind in ("number", "integer")),
    *(
        (f"{key}.", field.name)
        for key, section in PLAIN_SECTIONS.items()
        for field in section.fields()
        if field.kind in ("number", "integer", "sizes")
    ),
    *(
        (f"{section}.name={name},{section}.", field.name)
        for section in SECTIONS
        for name in registry.names(section)
        for field in registry.get(section, name).fields()
        if field.kind in ("number", "integer", "sizes")
    ),
]
"""The changes before a field, and the field."""


def _changes(before: str, value: str) -> list[str]:
    *names, path = before.split(",")
    return [*names, f"{path}={value}"]


def _refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    sentence = capfd.readouterr().err.strip()
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 1_000
    assert "defect" not in sentence
    return sentence


@pytest.mark.parametrize(
    "text",
    [DIGITS, f"-{DIGITS}", f"1e{DIGITS}", "1e400", "0x" + DIGITS],
    ids=["digits", "negative", "exponent", "large", "hexadecimal"],
)
def test_every_number_of_an_experiment_refuses_a_text_of_5000_digits(text: str) -> None:
    experiment = Experiment.load(paths.presets() / "iris-softmax.toml")
    for before, field in NUMBERS:
        changes = dict(change.partition("=")[::2] for change in _changes(before + field, text))
        with pytest.raises(InvalidInput) as refused:
            experiment.with_values(changes)
        assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize(
    "value",
    [10**4_999, -(10**4_999), [10**4_999], [[10**4_999]]],
    ids=["positive", "negative", "in a list", "in a list of lists"],
)
def test_every_number_of_an_experiment_refuses_a_value_of_5000_digits(value: object) -> None:
    experiment = Experiment.load(paths.presets() / "iris-softmax.toml")
    for before, field in NUMBERS:
        *names, path = (before + field).split(",")
        changes: dict[str, object] = dict(name.partition("=")[::2] for name in names)
        with pytest.raises(InvalidInput):
            experiment.with_values({**changes, path: value})


@pytest.mark.parametrize(
    "line",
    [
        f"seed = {DIGITS}",
        f"seed = -{DIGITS}",
        "seed = 0x" + "f" * 5_000,
        f"[budget]\nsteps = {DIGITS}",
        f"[optimizer]\nlr = {DIGITS}",
        f"[optimizer]\nlr = 1e{DIGITS}",
        "a." * 15_000 + "a = 1",
        "[" + "a." * 15_000 + "a]",
        "a = " + "[" * 100_000,
    ],
    ids=lambda line: line[:20],
)
def test_a_file_is_refused(line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        f'{line}\n[dataset]\nname = "iris"\n[model]\nname = "linear"\n', encoding="utf-8"
    )
    assert str(path) in _refused(["run", str(path)], capfd)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "iris-softmax", "--set", f"seed={DIGITS}"],
        ["run", "iris-softmax", "--set", f"optimizer.lr={DIGITS}"],
        ["run", "iris-softmax", "--steps", DIGITS],
        ["run", "iris-softmax", "--seed", DIGITS],
        ["run", "iris-softmax", "--instrument", f"conditioning:{DIGITS}"],
        ["race", "iris-softmax", "--set", f"seed=1,{DIGITS}"],
        ["spectrum", "iris-softmax", "--steps", DIGITS],
        ["spectrum", "iris-softmax", "--examples", DIGITS],
        ["fetch", "x", "--version", DIGITS],
        ["surface", "rosenbrock", "--steps", DIGITS],
    ],
    ids=lambda arguments: " ".join(arguments)[:50],
)
def test_an_option_is_refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert "defect" not in error
    assert "Traceback" not in error


def test_the_command_refuses_it_as_a_process() -> None:
    command = [sys.executable, "-m", "optlab", "run", "iris-softmax", "--set", f"seed={DIGITS}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("seed is '999")
    assert len(done.stderr.splitlines()) == 1


def test_a_costly_list_of_own_models_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    place = paths.writable_home() / "own_models.toml"
    for content in ("a." * 15_000 + "a = 1", f"format = {DIGITS}", "#" * 300_000):
        place.write_text(content, encoding="utf-8")
        assert main(["model", "list"]) == 1
        sentence = capfd.readouterr().err
        assert str(place) in sentence
        assert len(sentence.splitlines()) == 1


def test_a_value_that_cannot_be_written_out_is_shown_in_words() -> None:
    assert shown(10**5_000) == "a value too long to show"
    assert shown([10**5_000]) == "a value too long to show"
