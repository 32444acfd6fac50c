"""The text of a table as UTF-8, block by block, whatever its encoding.

A file is never held as a whole, so that one of several gigabytes takes no more memory than its
numbers do.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from optlab.core.errors import InvalidInput
from optlab.core.reading import open_regular
from optlab.outside.datafiles.dialect import Encoding

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
"""Bytes that are read at a time."""
LARGEST_BYTES = 64 * 1024**3
"""A larger file is refused: its numbers fit no memory."""
_BOMS: tuple[tuple[bytes, Encoding], ...] = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_LONGEST_MARK = max(len(mark) for mark, _ in _BOMS)
_BINARY_TABLES = {
    b"PAR1": ("a Parquet table", "read_parquet"),
    b"ARROW1": ("an Arrow table", "read_feather"),
}
"""First bytes of tables that are no text → what they are, and the function of pandas that reads them."""
_BINARY_CHECKED = 4096
"""Bytes at the beginning of a file in which a zero byte shows that it is no text."""


def refuse_binary_table(path: Path, start: bytes) -> None:
    """Refuse a table of a kind that is no text, and say how it becomes one.

    Args:
        path: of the file. start: its first bytes.

    Raises:
        InvalidInput: it is one.
    """
    for mark, (kind, function) in _BINARY_TABLES.items():
        if start.startswith(mark):
            text = path.stem + (".csv" if path.suffix.lower() != ".csv" else "-text.csv")
            raise InvalidInput(
                f"{path} is {kind}, and OptLab reads tables as text; save it as CSV in UTF-8, with "
                f"pandas: pandas.{function}({path.name!r}).to_csv({text!r}, index=False).",
                "dataset.path",
            )


class TableText(io.RawIOBase):
    """A file of text, read as UTF-8.

    Raises:
        InvalidInput: the file cannot be opened, is too large, or is no text; and, while it is read,
            it cannot be read or has another encoding.

    Attributes:
        size: bytes of the file. done: bytes that were read so far.
    """

    def __init__(self, path: Path, encoding: Encoding = "auto") -> None:
        super().__init__()
        self.path = path
        self.done = self._lines = 0
        try:
            self.size = path.stat().st_size
            self._file = open_regular(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            if self.size > LARGEST_BYTES:
                raise InvalidInput(
                    f"{path} has {self.size:,} bytes, more than the {LARGEST_BYTES:,} that a CSV "
                    "file may have; save it as NPZ.",
                    "dataset.path",
                )
            start = self._file.read(_BINARY_CHECKED)
            declared = _mark(start)
            self.encoding = (declared[1] or "utf-8") if encoding == "auto" else encoding
            refuse_binary_table(path, start)
            if b"\0" in start and self.encoding != "utf-16":
                raise InvalidInput(
                    f"{path} is not a text file; save the table as CSV in UTF-8.", "dataset.path"
                )
            own_mark = declared[1] == self.encoding == "utf-8"
            self._file.seek(len(declared[0]) if own_mark else 0)
        except OSError as error:
            self._file.close()
            raise _unreadable(path, error) from None
        except InvalidInput:
            self._file.close()
            raise
        codec: str = self.encoding
        if codec == "utf-16" and declared[1] != "utf-16":
            codec = "utf-16-le"  # as programs write it that omit the mark
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._pending = memoryview(b"")

    def __enter__(self) -> TableText:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the next bytes of UTF-8 into a buffer, and return their number; 0 at the end."""
        wanted = memoryview(buffer).cast("B")
        if not len(self._pending):
            self._pending = memoryview(self._next_block())
        count = min(len(wanted), len(self._pending))
        wanted[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def lines(self) -> io.TextIOWrapper:
        """Return the text by lines, with their ends as they are."""
        return io.TextIOWrapper(
            io.BufferedReader(self, BLOCK), encoding="utf-8", newline="", errors="strict"
        )

    def head(self, most: int) -> str:
        """Return the first characters, whole lines of at most ``most`` bytes where there is one.

        What was returned is not read again.
        """
        content = bytearray()
        while len(content) < most and (block := self.read(most - len(content))):
            content += block
        if len(content) >= most and b"\n" in content:
            del content[content.rindex(b"\n") + 1 :]  # the last line was cut in the middle
        return content.decode("utf-8", errors="ignore")

    def _next_block(self) -> bytes:
        """Return the next bytes of UTF-8, b"" at the end."""
        while True:
            try:
                block = self._file.read(BLOCK)
            except OSError as error:
                raise _unreadable(self.path, error) from None
            self.done += len(block)
            converted = self._converted(block)
            self._lines += block.count(b"\n")
            if converted or not block:
                return converted

    def _converted(self, block: bytes) -> bytes:
        try:
            if self.encoding == "utf-8":
                # The bytes stay as they are; decoding them only shows that they are sound.
                if block.isascii() and block and not self._decoder.getstate()[0]:
                    return block
                self._decoder.decode(block, final=not block)
                return block
            return self._decoder.decode(block, final=not block).encode("utf-8")
        except UnicodeError as error:
            before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            line = self._lines + before.count(b"\n") + 1
            advice = (
                "save the file in UTF-8 (in a spreadsheet: CSV UTF-8), or state its encoding "
                "(dataset.encoding: windows-1252, latin-1, utf-16)"
                if self.encoding == "utf-8"
                else "state another encoding (dataset.encoding)"
            )
            raise InvalidInput(
                f"{self.path}, line {line}: this is not "
                f"{self.encoding.replace('utf', 'UTF').replace('windows', 'Windows')}; {advice}.",
                "dataset.encoding",
            ) from None


def declares_encoding(path: Path) -> bool:
    """Return whether the first bytes of a file say which encoding it has.

    Raises:
        InvalidInput: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return bool(_mark(file.read(_LONGEST_MARK))[1])
    except OSError as error:
        raise _unreadable(path, error) from None


def _mark(start: bytes) -> tuple[bytes, Encoding | Literal[""]]:
    """Return the mark with which a file begins, and the encoding that it declares; "" for none."""
    return next((pair for pair in _BOMS if start.startswith(pair[0])), (b"", ""))


def _unreadable(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be read: {error.strerror or error}.", "dataset.path")
