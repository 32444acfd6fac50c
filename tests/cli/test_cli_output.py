"""How results are written: tables for terminals and pipes, JSON without NaN."""

from __future__ import annotations

import json
import math
import os
import sys

import pytest

from optlab.cli import output


def test_that_numbers_that_json_does_not_know_become_null(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.say_json({"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": {"ε": (1, True, None)}})
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": None, "b": [None, None, 1.5], "c": {"ε": [1, True, None]}}
    assert text.isascii() and "NaN" not in text and "Infinity" not in text


def test_that_json_refuses_what_it_cannot_say() -> None:
    with pytest.raises(TypeError, match="object"):
        output.plain(object())


def test_that_a_pipe_gets_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_table(("Name", "Words"), [("a", "x " * 200), ("long", "y")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a     " + ("x " * 200).rstrip(), "long  y"]


def test_that_a_terminal_gets_headings_and_lines_that_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "terminal_width", lambda: 40)
    output.say_table(("Name", "Words"), [("a[b]", "word " * 20), ("long", "y")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Name", "Words"]
    assert len(lines) > 3 and all(len(line) <= 40 for line in lines)
    assert any(line.startswith("a[b]") for line in lines), "square brackets are text, not markup"
    assert " ".join(lines).split().count("word") == 20


def test_that_an_empty_table_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_table(("Name",), [])
    assert capsys.readouterr().out == ""


def test_that_a_reader_who_left_is_no_system_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    raw = os.fdopen(writing, "wb", buffering=0)
    monkeypatch.setattr(sys, "stdout", __import__("io").TextIOWrapper(raw, write_through=True))
    with pytest.raises(output.ReaderGone):
        output.say("word")
    raw.close()
