"""The text of a table in blocks, whatever its encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from optlab.core.errors import InvalidInput
from optlab.outside.datafiles import table_text
from optlab.outside.datafiles.table_text import TableText

TEXT = "näme;wért\n" + "".join(f"{n};Łódź 𝄞\n" for n in range(40))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_text, "BLOCK", 7)  # cuts characters in the middle


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_that_text_is_read_as_utf_8(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(encoding))
    stated = "utf-16" if encoding == "utf-16-le" else "auto"
    with TableText(path, stated) as text:  # type: ignore[arg-type]
        assert text.readall() == TEXT.encode()
    with TableText(path, stated) as text:  # type: ignore[arg-type]
        assert "".join(text.lines()) == TEXT


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1"])
def test_that_other_encodings_are_read_where_they_are_stated(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a;é\nü;1\n".encode(encoding))
    with TableText(path, encoding) as text:  # type: ignore[arg-type]
        assert text.readall().decode() == "a;é\nü;1\n"
    with (
        TableText(path) as text,
        pytest.raises(InvalidInput, match=r"line 1: this is not UTF-8.*dataset\.encoding"),
    ):
        text.readall()


@pytest.mark.parametrize(
    ("content", "encoding", "line"),
    [
        (b"a;b\n1;2\n3;\xff\n", "utf-8", 3),
        (b"a;b\n1;\x81\n", "windows-1252", 2),
        (b"a\nb\xc3", "auto", 2),
    ],
)
def test_that_a_wrong_byte_is_refused_with_its_line(
    tmp_path: Path, content: bytes, encoding: str, line: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with (
        TableText(path, encoding) as text,  # type: ignore[arg-type]
        pytest.raises(InvalidInput, match=f"line {line}: this is not"),
    ):
        text.readall()


def test_that_the_head_ends_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXT, encoding="utf-8")
    with TableText(path) as text:
        head = text.head(100)
    assert TEXT.startswith(head) and head.endswith("\n") and 50 < len(head.encode()) <= 100
