"""Control characters of others are shown escaped, and act on no terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optlab.core.printable import printable
from optlab.entry import main

EVIL = "a\x1b[2J\x07\r\u202eb\u2066\x9bc"
ACTING = "\x1b\x07\r\u202e\u2066\x9b"
Output = pytest.CaptureFixture[str]


def _shown(capfd: Output) -> str:
    captured = capfd.readouterr()
    text = captured.out + captured.err
    assert not set(ACTING) & set(text)
    return text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\u2028\ufeff\u200b", "\\u2028\\ufeff\\u200b"),
        ("\udcff", "\\udcff"),
        ("ε · μ – “ä” 日本 👩\u200d🔬", "ε · μ – “ä” 日本 👩\u200d🔬"),
    ],
)
def test_what_acts_is_escaped_and_what_shows_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_stay_where_they_are_meant() -> None:
    assert printable("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """An experiment with such a title."""
    path = tmp_path / "e.toml"
    title = json.dumps(EVIL + "\nforged")
    path.write_text(
        f"title = {title}\n[dataset]\nname = 'iris'\n[model]\nname = 'linear'\n"
        "[budget]\nsteps = 5\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["spectrum"],
        ["slice", "--points", "3"],
        ["critical", "--here"],
        ["measure", "--instruments", "conditioning"],
        ["start"],
        ["race", "--seed", "1,2"],
    ],
    ids=lambda words: words[0],
)
def test_a_title_is_escaped_by_every_command(words: list[str], evil: Path, capfd: Output) -> None:
    assert main([words[0], str(evil), *words[1:]]) == 0
    text = _shown(capfd)
    assert "a\\x1b[2J\\x07\\r\\u202eb" in text
    assert "\nforged" not in text


def test_the_list_of_runs_escapes_titles_and_json_keeps_them(evil: Path, capfd: Output) -> None:
    assert main(["run", str(evil)]) == 0
    capfd.readouterr()
    assert main(["runs"]) == 0
    text = _shown(capfd)
    assert "\\x1b[2J" in text
    assert len(text.splitlines()) == 1
    assert main(["runs", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["title"] == EVIL + "\nforged"


def test_columns_classes_and_cells_are_escaped_by_import(tmp_path: Path, capfd: Output) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{i}.5,{i * i},{EVIL.replace(chr(13), '')}{i % 2}\n" for i in range(20))
    path.write_text(f"x\x1b[0m,w,kind\x07\n{rows}", encoding="utf-8")
    assert main(["import", str(path), "--to", str(tmp_path / "t.toml")]) == 0
    _shown(capfd)


@pytest.mark.parametrize("command", ["run", "import", "show", "spectrum", "list"])
def test_what_was_typed_is_escaped_in_errors(command: str, capfd: Output) -> None:
    assert main([command, EVIL]) == 2
    assert "\\x1b" in _shown(capfd)
