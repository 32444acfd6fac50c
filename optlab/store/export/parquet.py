"""Parquet: the table in columns, with experiments and results in the file's metadata."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy

from optlab.core.errors import MissingPart
from optlab.core.files import replacing
from optlab.store.export.table import Table


def write(table: Table, path: Path) -> None:
    """Write the table: ``step`` as int64, the others as float64, null where there is no value.

    Where it is of several runs, ``run`` stands first, as categories. The keys of the metadata begin with ``optlab.``.

    Raises:
        MissingPart: pyarrow is not installed.
        StoreError: the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        packaged = "the packaged OptLab leaves out; export as csv, or install OptLab with pip"
        installable = "is not installed; install it with: pip install pyarrow, or export as csv"
        raise MissingPart(
            "Parquet files need pyarrow, which "
            f"{packaged if getattr(sys, 'frozen', False) else installable}."
        ) from None
    arrays = [pyarrow.array(table.steps)] + [
        pyarrow.array(column.values, mask=~column.present) for column in table.columns
    ]
    names = ["step", *(column.name for column in table.columns)]
    if table.runs is not None:
        ids, lengths = [run for run, _ in table.runs], [length for _, length in table.runs]
        rows = numpy.repeat(numpy.arange(len(ids), dtype=numpy.int32), lengths)
        arrays.insert(0, pyarrow.DictionaryArray.from_arrays(rows, pyarrow.array(ids, "string")))
        names.insert(0, "run")
    about = {f"optlab.{key}": text for key, text in table.about.items()}
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(
            pyarrow.Table.from_arrays(arrays, names=names).replace_schema_metadata(about), temporary
        )
