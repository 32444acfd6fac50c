"""Plain tables, read by pyarrow: about ten times as fast as cell by cell.

Only what means the same to both readers is read here. Lone carriage returns and quotes, cells that
have no number, rows of another length: everything else gives None, and the caller reads cell by
cell, which says what is wrong and where. The packaged program has no pyarrow and reads every table
that way.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.outside.datafiles.dialect import is_number, with_point
from optlab.outside.datafiles.roles import CODED, Role, value_of
from optlab.outside.datafiles.table_columns import Collected, Collector, Plan, numbered
from optlab.outside.datafiles.table_text import BLOCK, TableText

_LONE_RETURN = re.compile(rb"\r(?!\n)")


def read(plan: Plan) -> Generator[float, None, Collected | None]:
    """Read a table, and yield now and then the share of the file that was read.

    Args:
        plan: what is read.

    Returns:
        the columns, or None where the table is not plain.

    Raises:
        InvalidInput: the file cannot be read.
    """
    quote = plan.dialect.quote_sign
    if plan.delimiter == " " or importlib.util.find_spec("pyarrow") is None:
        return None
    import pyarrow

    collector = Collector(plan, with_lines=False)
    with TableText(plan.path, plan.dialect.encoding) as text:
        source = _Watched(text, plan.delimiter, quote)
        try:
            for number, batch in enumerate(_batches(source, plan), start=1):
                # pyarrow reads some blocks ahead of those that it hands over.
                share = text.done / text.size * min(1.0, number * BLOCK / source.given)
                if source.irregular or not _add(collector, batch, plan, share):
                    return None
                yield share
        except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError):
            source.raise_error()
            return None
        if source.irregular:
            return None
    yield 1.0
    return _checked(collector, plan)


def _batches(source: _Watched, plan: Plan) -> Any:
    """Return a reader of record batches (``pyarrow.csv.CSVStreamingReader``)."""
    import pyarrow
    from pyarrow import csv

    names = [str(number) for number in range(plan.width)]
    words = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = {
        str(number): pyarrow.float64() if role.name == "number" else words
        for number, role in plan.inputs.items()
    }
    kinds[str(plan.target)] = words
    if plan.trailing:
        kinds[names[-1]] = words
    quote = plan.dialect.quote_sign
    return csv.open_csv(
        pyarrow.PythonFile(source, mode="r"),
        read_options=csv.ReadOptions(
            column_names=names, skip_rows=plan.header_line, use_threads=False, block_size=BLOCK
        ),
        parse_options=csv.ParseOptions(
            delimiter=plan.delimiter,
            quote_char=quote or False,
            double_quote=bool(quote),
            newlines_in_values=bool(quote),
        ),
        convert_options=csv.ConvertOptions(
            column_types=kinds,
            include_columns=list(kinds),
            null_values=sorted(
                {
                    spelled
                    for word in plan.dialect.missing_cells
                    for spelled in (word, word.upper(), word.title())
                }
                | {"NaN"}
            ),
            strings_can_be_null=False,
            decimal_point=plan.decimal,
        ),
    )


def _add(collector: Collector, batch: Any, plan: Plan, share: float) -> bool:
    """Append the rows of a batch; return whether both readers understand all of its cells alike."""
    columns: list[NDArray[np.float64]] = []
    for place, (number, role) in enumerate(plan.inputs.items()):
        array = batch.column(batch.schema.get_field_index(str(number)))
        if role.name == "number":
            values = array.to_numpy(zero_copy_only=False)
            # An infinite value, or "nan" in a spelling of its own, is refused cell by cell.
            if array.null_count + np.isfinite(values).sum() < len(values):
                return False
        else:
            cells = [str(cell).strip() for cell in array.dictionary.to_pylist()]
            distinct = _values(cells, role, plan, collector.vocabularies[place])
            if distinct is None:
                return False
            values = distinct[array.indices.to_numpy()] if len(distinct) else np.empty(0)
        columns.append(values)
    if plan.trailing:
        behind = batch.column(batch.schema.get_field_index(str(plan.width - 1)))
        if any(cell.strip() for cell in behind.dictionary.to_pylist()):
            return False
    targets = batch.column(batch.schema.get_field_index(str(plan.target)))
    cells = [str(cell).strip() for cell in targets.dictionary.to_pylist()]
    codes = numbered(cells, collector.target_words)
    rows = codes[targets.indices.to_numpy()] if len(codes) else np.empty(0, dtype=np.int64)
    if len(rows) and collector.is_blank(columns).any():
        return False  # it may be a line without anything on it, which is no row
    collector.add(columns, rows, share)
    return True


def _values(
    cells: list[str], role: Role, plan: Plan, words: dict[str, int]
) -> NDArray[np.float64] | None:
    """Return the value of each distinct cell, ``[cells]``; None where one has none."""
    missing = plan.dialect.missing_cells
    if role.name in CODED:
        present = [cell for cell in cells if cell.lower() not in missing]
        numbered(present, words)
        return np.array([words.get(cell, math.nan) for cell in cells], dtype=np.float64)
    try:
        return np.array(
            [
                math.nan if cell.lower() in missing else value_of(cell, role, plan.decimal)
                for cell in cells
            ],
            dtype=np.float64,
        )
    except ValueError:
        return None


def _checked(collector: Collector, plan: Plan) -> Collected | None:
    """Return the rows that are kept; None where one needs a closer look."""
    dialect, missing = plan.dialect, plan.dialect.missing_cells
    finite = [
        _is_finite(cell, plan.decimal)
        for cell in collector.target_words
        if cell.lower() not in missing
    ]
    if not all(finite) and (dialect.task == "regression" or False in finite):
        return None
    absent, incomplete = collector.without_target(), collector.incomplete()
    if dialect.missing == "refuse" and (absent.any() or incomplete.any()):
        return None
    kept = ~(absent | incomplete) if dialect.missing == "drop" else ~absent
    return collector.collected(kept) if kept.any() else None


def _is_finite(cell: str, decimal: str) -> bool | None:
    """Return whether a cell is a finite number; None where it is not a number at all."""
    return math.isfinite(float(with_point(cell, decimal))) if is_number(cell, decimal) else None


class _Watched:
    """A file for pyarrow, which notes what the two readers would understand differently.

    Attributes:
        given: bytes that were read so far.
        irregular: whether there is a carriage return without a line feed, or a quote that neither
            begins nor ends a cell nor is doubled.
    """

    def __init__(self, text: TableText, delimiter: str, quote: str) -> None:
        self._text = text
        self._quote = quote.encode()
        sign, quoted = re.escape(delimiter.encode()), re.escape(self._quote)
        self._lone = re.compile(rb"[^\r\n%b%b]%b[^\r\n%b%b]" % (sign, quoted, quoted, sign, quoted))
        self._last = b"\n"
        self._error: Exception | None = None
        self.given = 0
        self.irregular = False
        self.closed = False

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes; b"" at the end."""
        try:
            block = self._text.read(count)
        except Exception as error:
            self._error = error  # pyarrow passes on its text alone
            raise
        assert block is not None  # a regular file never has to be waited for
        self.given += len(block)
        if not self.irregular:
            # Two bytes before this block belong to what began at its border.
            self._examine(self._last + block, last=not block)
            self._last = (self._last + block)[-2:]
        return block

    def raise_error(self) -> None:
        """Raise what went wrong in :meth:`read`, if anything did."""
        if self._error is not None:
            raise self._error

    def _examine(self, block: bytes, *, last: bool) -> None:
        if b"\r" in block:
            # A return at the end is examined with what follows it.
            searched = block[:-1] if block.endswith(b"\r") and not last else block
            self.irregular = _LONE_RETURN.search(searched) is not None
        if self._quote and self._quote in block:
            self.irregular = self.irregular or self._lone.search(block) is not None

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
