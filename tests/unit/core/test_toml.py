"""TOML of others is parsed at a bounded cost, or refused before."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.core import paths, toml

COSTLY = {
    "dotted key": "a." * 15_000 + "a = 1",
    "dotted key with blanks": "a . " * 15_000 + "a = 1",
    "quoted parts": '"a".' * 15_000 + "a = 1",
    "literal parts": "'a'." * 15_000 + "a = 1",
    "dotted header": "[" + "a." * 15_000 + "a]",
    "dotted header of an array": "[[" + "a." * 15_000 + "a]]",
    "dotted key in a table": "a = {" + "b." * 15_000 + "b = 1}",
    "after a multi-line text": "a = '''\n" + "[" * 99 + "\n'''\n" + "b." * 15_000 + "b = 1",
    "arrays": "a = " + "[" * 100_000,
    "arrays over lines": "a = " + "[\n" * 1_000,
    "tables": "a = " + "{a = " * 40_000,
    "digits": "seed = " + "9" * 5_000,
    "digits with underscores": "seed = 9" + "_9" * 5_000,
    "negative digits": "seed = -" + "9" * 5_000,
    "hexadecimal digits": "seed = 0x" + "f" * 5_000,
    "digits in an array": "a = [1, " + "9" * 5_000 + "]",
    "decimals": "a = 0." + "1" * 5_000,
    "large": "#" * 300_000,
    "quotes that are not closed": '"\\' * 130_000,
    "multi-line texts that are not closed": '"""' + '\\"""\n' * 50_000,
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_document_is_refused_at_once(name: str) -> None:
    before = time.process_time()
    with pytest.raises(toml.TOMLProblem) as refused:
        toml.parse(COSTLY[name])
    assert time.process_time() - before < 0.5
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "document",
    [
        'path = "' + "../" * 1_000 + 'a"',
        "path = '" + "[" * 100 + "'",
        "# " + "a.b" * 100 + "\na = 1",
        "a = [" + "1.5, " * 1_000 + "]",
        "a = [\n" + "[1.5, 2.5],\n" * 1_000 + "]",
        'a = """\n' + "{" * 100 + '\n"""\nb = 2',
        'a = "\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["',
        "a.b.c.d = 1979-05-27T07:32:00.999999-07:00",
        "a = " + "[" * 30 + "]" * 30,
    ],
)
def test_what_is_cheap_is_parsed_as_tomllib_does(document: str) -> None:
    assert toml.parse(document) == tomllib.loads(document)


def test_every_experiment_that_ships_is_parsed_as_tomllib_does() -> None:
    for preset in paths.presets().glob("*.toml"):
        document = preset.read_text(encoding="utf-8")
        assert toml.parse(document) == tomllib.loads(document)


@given(st.text(alphabet="a.\"'[]{}=,#\n\\ 19_", max_size=120))
def test_a_document_gives_the_same_tables_as_with_tomllib_or_is_refused(document: str) -> None:
    try:
        expected = tomllib.loads(document)
    except (ValueError, RecursionError):
        with pytest.raises(toml.TOMLProblem):
            toml.parse(document)
        return
    try:
        tables = toml.parse(document)
    except toml.TOMLProblem as error:
        assert "more than" in str(error)
    else:
        assert tables == expected
