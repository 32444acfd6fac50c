"""The rows of a damaged database file, read from its pages without SQLite.

SQLite stops at the first page that is damaged, and finds nothing without an intact first page. Here
each page stands for itself, as in the ``.recover`` command of SQLite's shell: trees are followed as
far as they go, and pages that no tree leads to any more are searched for rows.

Nothing that is read here can be trusted: the caller verifies each row by its checksum.

Format: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optlab.store import journal

_INDEX_INTERIOR, _TABLE_INTERIOR, _INDEX_LEAF, _TABLE_LEAF = 2, 5, 10, 13
_FILE_HEADER = 100
MAGIC = b"SQLite format 3\0"

Value = int | float | str | bytes | None
Row = tuple[Value, ...]


class _Damaged(Exception):
    """A page or a row cannot be read."""


@dataclass
class Tree:
    """What was read of a tree.

    Attributes:
        pages: those it consists of.
        problems: number of pages and rows that could not be read.
    """

    pages: set[int] = field(default_factory=set)
    problems: int = 0


class Pages:
    """The pages of a database file, those in its write-ahead log included.

    Args:
        path: of the database. Neither it nor the log has to exist.

    Raises:
        OSError: a file cannot be opened.

    Attributes:
        size: of a page in bytes.
        numbers: of the pages that there are, ascending; no header is trusted with their number.
        damaged_journal: whether frames of the log are damaged that sound ones follow.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.exists() else None
        length = self._file.seek(0, os.SEEK_END) if self._file is not None else 0
        header = self._read(0, _FILE_HEADER)
        size = int.from_bytes(header[16:18], "big")
        if not header.startswith(MAGIC) or not journal.is_page_size(size):
            size = journal.PAGE_SIZE
        self.size = size
        log = journal.path_of(path)
        newer = journal.read(log.read_bytes() if log.exists() else b"", size)
        self.damaged_journal = newer.damaged
        self._newer = {n: page for n, page in newer.pages.items() if len(page) == size}
        in_file = range(1, -(-length // size) + 1)
        self.numbers = sorted({*in_file, *self._newer})
        self._bytes = len(self.numbers) * size

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _read(self, at: int, length: int) -> bytes:
        if self._file is None:
            return b""
        try:
            self._file.seek(at)
            return self._file.read(length)
        except OSError:
            # A bad sector: the page is lost, and the next may be readable.
            return b""

    def page(self, number: int) -> bytes:
        """Return a page, counted from 1, or b"" where there is none.

        A last page that is cut is filled up with zeros.
        """
        if number in self._newer:
            return self._newer[number]
        piece = self._read((number - 1) * self.size, self.size) if number > 0 else b""
        return piece.ljust(self.size, b"\0") if piece else b""

    def number_at(self, offset: int) -> int:
        """Return a 4-byte number of the file's header."""
        return int.from_bytes(self.page(1)[offset : offset + 4], "big")

    def free_pages(self) -> set[int]:
        """Return the pages that are in use no more, as far as the list of them can be followed."""
        free: set[int] = set()
        trunk = self.number_at(32)
        while trunk not in free and (page := self.page(trunk)):
            free.add(trunk)
            following, count = struct.unpack_from(">2I", page)
            count = min(count, self.size // 4 - 2)
            free.update(struct.unpack_from(f">{count}I", page, 8))
            trunk = following
        return free

    def rows(self, root: int, tree: Tree) -> Iterator[Row]:
        """Yield the rows of a table, or the entries of an index; go on after what is damaged.

        Args:
            root: its first page.
            tree: is filled meanwhile.
        """
        waiting = [root]
        while waiting:
            number = waiting.pop()
            page = self.page(number)
            if not page or number in tree.pages:
                tree.problems += 1
                continue
            tree.pages.add(number)
            below: list[int] = []
            yield from self._rows(number, page, tree, below)
            waiting += reversed(below)

    def leaf_rows(self, number: int) -> Iterator[Row]:
        """Yield the rows of one page, if it is a leaf of a table."""
        page = self.page(number)
        if page and page[_FILE_HEADER if number == 1 else 0] == _TABLE_LEAF:
            yield from self._rows(number, page, Tree(), [])

    def _rows(self, number: int, page: bytes, tree: Tree, below: list[int]) -> Iterator[Row]:
        """Yield the rows of a page, and put the pages below it into ``below``."""
        start = _FILE_HEADER if number == 1 else 0
        kind = page[start]
        interior = kind in (_INDEX_INTERIOR, _TABLE_INTERIOR)
        if not interior and kind not in (_INDEX_LEAF, _TABLE_LEAF):
            tree.problems += 1
            return
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + (12 if interior else 8)
        if first + 2 * cells > self.size:
            tree.problems += 1
            cells = (self.size - first) // 2
        for (at,) in struct.iter_unpack(">H", page[first : first + 2 * cells]):
            try:
                if interior:
                    below.append(int.from_bytes(page[at : at + 4], "big"))
                if kind != _TABLE_INTERIOR:
                    begin = at + 4 if interior else at
                    yield _row(self._payload(page, begin, table=kind == _TABLE_LEAF, tree=tree))
            except (_Damaged, IndexError, struct.error, UnicodeDecodeError):
                tree.problems += 1
        if interior:
            below.append(int.from_bytes(page[start + 8 : start + 12], "big"))

    def _payload(self, page: bytes, at: int, *, table: bool, tree: Tree) -> bytes:
        """Return the payload of a cell, with the part that lies on pages of its own."""
        length, at = _number(page, at)
        if table:
            _, at = _number(page, at)
        if length > self._bytes:
            raise _Damaged
        most = self.size - 35 if table else (self.size - 12) * 64 // 255 - 23
        if length <= most:
            return page[at : at + length]
        least = (self.size - 12) * 32 // 255 - 23
        local = least + (length - least) % (self.size - 4)
        local = local if local <= most else least
        parts = [page[at : at + local]]
        missing = length - local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while missing > 0:
            page = self.page(following)
            if not page:
                raise _Damaged
            tree.pages.add(following)
            parts.append(page[4 : 4 + missing])
            missing -= self.size - 4
            following = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of 1 to 9 bytes, and where it ends."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Type of a value → bytes of the integer."""


def _row(payload: bytes) -> Row:
    return tuple(_values(payload, list(_types(payload))))


def _types(payload: bytes) -> Iterator[int]:
    size, at = _number(payload, 0)
    if size > len(payload):
        raise _Damaged
    while at < size:
        kind, at = _number(payload, at)
        yield kind


def _values(payload: bytes, kinds: Sequence[int]) -> Iterator[Value]:
    at, _ = _number(payload, 0)
    for kind in kinds:
        size = _INTEGERS.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        piece = payload[at : at + size]
        if len(piece) != size or kind in (10, 11):
            raise _Damaged
        at += size
        if kind == 0:
            yield None
        elif kind in _INTEGERS:
            yield int.from_bytes(piece, "big", signed=True)
        elif kind == 7:
            yield struct.unpack(">d", piece)[0]
        elif kind < 12:
            yield kind - 8
        else:
            yield piece.decode("utf-8") if kind % 2 else piece
