"""What commands write, and how: text for people, or one JSON document for programs.

Standard output carries results, standard error everything about them (progress, and the one
sentence of a failure). A JSON document is plain ASCII without ``NaN``, so that every parser on
every terminal's encoding reads it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import repeat
from typing import TYPE_CHECKING, Any, TextIO

from optlab.core import streams
from optlab.core.printable import printable
from optlab.core.streams import ReaderGone

if TYPE_CHECKING:
    # Only named in a signature: most commands have no fields.
    from optlab.core.fields import Field


_document_stream: ContextVar[TextIO | None] = ContextVar("document stream", default=None)
_text_stream: ContextVar[TextIO | None] = ContextVar("text stream", default=None)


@contextlib.contextmanager
def only_documents() -> Iterator[None]:
    """Let nothing but JSON documents reach standard output; all else goes to standard error.

    A module or an optimizer of the user's may print while it runs, and so may C code.
    """
    with _own_descriptor() as documents:
        token = _document_stream.set(documents)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        finally:
            _document_stream.reset(token)


@contextlib.contextmanager
def _own_descriptor() -> Iterator[TextIO]:
    """Give a stream to standard output, whose descriptor leads to standard error meanwhile."""
    stdout = sys.stdout
    try:
        stdout.flush()
        shared = stdout.fileno() == 1
        kept = os.dup(1) if shared else -1
    except (OSError, ValueError):
        # It is closed, or no file.
        shared = False
    if not shared:
        yield stdout
        return
    documents = streams.results_to(kept)
    os.dup2(2, 1)
    try:
        yield documents
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def collected(stream: TextIO) -> Iterator[None]:
    """Write what commands say, text and documents, to another stream."""
    tokens = _document_stream.set(stream), _text_stream.set(stream)
    try:
        yield
    finally:
        _document_stream.reset(tokens[0])
        _text_stream.reset(tokens[1])


def say_text(text: str) -> None:
    """Write what a command has said elsewhere, unchanged.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    try:
        print(text, end="", file=_document_stream.get(), flush=True)
    except BrokenPipeError:
        raise ReaderGone from None


def say(text: str = "") -> None:
    """A line, or several, on standard output.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    try:
        print(printable(text, lines=True), file=_text_stream.get())
    except BrokenPipeError:
        raise ReaderGone from None


def say_json(document: Any) -> None:
    """One JSON document on standard output; numbers that are not finite become null.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    text = json.dumps(plain(document), indent=2, allow_nan=False)
    try:
        print(text, file=_document_stream.get(), flush=True)
    except BrokenPipeError:
        raise ReaderGone from None


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's own types; a number that is not finite becomes None.

    Raises:
        TypeError: the value has no form in JSON.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def field_document(field: Field) -> dict[str, Any]:
    """Return a field as it is written to JSON, under the attributes of its class."""
    return dataclasses.asdict(field)


def terminal_width() -> int | None:
    """Columns of the terminal that standard output goes to; None where it goes to a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, headed: bool = False
) -> None:
    """Columns of text: wrapped and with headings on a terminal, one line a row for a pipe.

    Args:
        headed: whether a pipe gets the headings, too: where the rows mean nothing without them.

    Raises:
        ReaderGone: nobody reads it any more.
    """
    width = terminal_width()
    if headed and width is None:
        rows = [headers, *rows]
    # Column by column, as the list of runs has many rows.
    columns = [_printable(column) for column in zip(*rows, strict=True)]
    if width is not None:
        say(_drawn(headers, list(zip(*columns, strict=True)), width))
    elif columns:
        padded = [map(str.ljust, column, repeat(max(map(len, column)))) for column in columns]
        say("\n".join(map(str.rstrip, map("  ".join, zip(*padded, strict=True)))))


def _printable(column: Sequence[str]) -> Sequence[str]:
    if "".join(column).isprintable():
        return column
    return [printable(cell) for cell in column]


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    # Imported here: a piped list does not pay for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, header in enumerate(headers):
        table.add_column(header, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
