"""Parquet: the table in columns, with the experiment and the result in the file's metadata."""

from __future__ import annotations

import sys
from pathlib import Path

from optlab.core.errors import MissingPart
from optlab.core.files import replacing
from optlab.store.export.table import Table


def write(table: Table, path: Path) -> None:
    """Write the table: ``step`` as int64, the others as float64, null where there is no value.

    The keys of the metadata begin with ``optlab.``.

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
    about = {f"optlab.{key}": text for key, text in table.about.items()}
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(
            pyarrow.Table.from_arrays(arrays, names=names).replace_schema_metadata(about), temporary
        )
