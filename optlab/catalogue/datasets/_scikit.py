"""The tables that scikit-learn ships, read without importing it.

Importing scikit-learn takes more than a second and, with SciPy, a hundred megabytes in a package.
Its tables are five small files, located through the list of its installed files. The packaged
program contains only these files (``packaging/parts.py``).
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import MissingPart


def read(file: str, *, delimiter: str | None = ",", header: bool = False) -> NDArray[np.float64]:
    """Read a table, ``[rows, columns]``.

    Args:
        file: name in scikit-learn's ``datasets/data``; compressed if it ends in ``.gz``.
        delimiter: None for blanks.
        header: whether the first line is a header.

    Raises:
        MissingPart: scikit-learn is not installed, or has no such file.
    """
    try:
        path = Path(
            str(
                importlib.metadata.distribution("scikit-learn").locate_file(
                    f"sklearn/datasets/data/{file}"
                )
            )
        )
    except importlib.metadata.PackageNotFoundError:
        raise MissingPart(
            "This data set comes with scikit-learn, which is not installed; install it with: pip "
            "install scikit-learn"
        ) from None
    if not path.is_file():
        raise MissingPart(
            f"The installed scikit-learn has no {file}; install another version of it: pip install "
            "'scikit-learn<2'"
        )
    return np.atleast_2d(
        np.loadtxt(path, dtype=np.float64, delimiter=delimiter, skiprows=int(header))
    )


def classified(file: str, *, header: bool = True) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a table whose last column is the class; see :func:`read`.

    Returns:
        Inputs ``[rows, inputs]`` and classes ``[rows]``.
    """
    table = read(file, header=header)
    return table[:, :-1].copy(), table[:, -1].astype(np.int64)
