"""The tables that scikit-learn ships, read without importing it.

Its import takes more than a second and, with SciPy beneath it, a hundred megabytes of a package;
its tables are five small files, found by its own record of what it installed. The packaged program
carries these files and nothing else of it (``packaging/parts.py``).
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import MissingPart


def read(file: str, *, delimiter: str | None = ",", header: bool = False) -> NDArray[np.float64]:
    """One table, ``[rows, columns]``; a name that ends in ``.gz`` is a compressed one.

    Args:
        file: name in scikit-learn's ``datasets/data``. delimiter: None for blanks. header: whether
            the first line is none of the rows.

    Raises:
        MissingPart: scikit-learn is not installed, or has no such file.
    """
    try:
        place = Path(
            str(
                importlib.metadata.distribution("scikit-learn").locate_file(
                    f"sklearn/datasets/data/{file}"
                )
            )
        )
    except importlib.metadata.PackageNotFoundError:
        raise MissingPart(
            "This data set comes with scikit-learn, which is not installed; install it with: pip install scikit-learn"
        ) from None
    if not place.is_file():
        raise MissingPart(
            f"The installed scikit-learn has no {file}; install another version of it: pip install 'scikit-learn<2'"
        )
    return np.atleast_2d(
        np.loadtxt(place, dtype=np.float64, delimiter=delimiter, skiprows=int(header))
    )


def classified(file: str, *, header: bool = True) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Inputs ``[rows, inputs]`` and classes ``[rows]`` of a table whose last column is the class;
    see :func:`read`.
    """
    table = read(file, header=header)
    return table[:, :-1].copy(), table[:, -1].astype(np.int64)
