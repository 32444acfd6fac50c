"""Public data sets of OpenML, fetched beforehand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, integer, text
from optlab.outside.datafiles import public_sets
from optlab.outside.datafiles.public_sets import PublicSet


class OpenML(Dataset):
    """A public data set by its name at OpenML, fetched once and then read from this machine.

    Fetch it with optlab fetch NAME; a run never uses the network. Columns of words become one
    column a word.
    """

    name: ClassVar[str] = "openml"
    label: ClassVar[str] = "Public set (OpenML)…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 95
    source: ClassVar[str] = "J. Vanschoren et al. (2013), OpenML; sklearn.datasets.fetch_openml."

    set: str = text(
        "",
        "Name",
        help="Name of the set at OpenML, as mnist_784; fetch it first with optlab fetch NAME.",
    )
    version: int = integer(
        1, "Version", ge=1, le=10_000, help="Version of the set; each keeps its values for good."
    )
    missing: Literal["refuse", "drop", "mean"] = choice(
        "refuse",
        "Missing values",
        help="Whether a missing value is an error, drops its row, or is replaced by the mean of its column.",
    )

    def shape(self) -> DataShape:
        self._check()
        return public_sets.shape_of(self.set, self.version)

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        found = self._found()
        absent = np.isnan(found.x)
        if not absent.any():
            return found.x.copy(), found.y.copy()
        if self.missing == "refuse":
            row, column = np.unravel_index(int(np.argmax(absent)), absent.shape)
            raise InvalidInput(
                f"The data set '{self.set}', row {row + 1}, column {found.input_names[column]}: the value is missing; choose what to do with missing values "
                "(dataset.missing: drop, mean).",
                "dataset.missing",
            )
        if self.missing == "drop":
            whole_rows = ~absent.any(axis=1)
            if not whole_rows.any():
                raise InvalidInput(
                    f"The data set '{self.set}': every row has a missing value, so none is left.",
                    "dataset.missing",
                )
            return found.x[whole_rows], found.y[whole_rows]
        counts = (~absent).sum(axis=0)
        if (counts == 0).any():
            empty = int(np.argmin(counts))
            raise InvalidInput(
                f"The data set '{self.set}', column {found.input_names[empty]}: every value is missing; choose another set.",
                "dataset.missing",
            )
        return found.x.copy(), found.y.copy()

    def input_names(self) -> Sequence[str]:
        return self._found().input_names

    def short_name(self) -> str:
        return self.set or self.name

    def class_names(self) -> Sequence[str]:
        return self._found().class_names

    def _check(self) -> None:
        if not self.set:
            there = ", ".join(
                f"{name} (version {version})" for name, version in public_sets.fetched()
            )
            words = (
                f"fetched are: {there}" if there else "none is fetched yet, see optlab fetch --help"
            )
            raise InvalidInput(
                f"dataset.set is empty; it must be the name of a public set, as mnist_784; {words}.",
                "dataset.set",
            )

    def _found(self) -> PublicSet:
        self._check()
        path = public_sets.file_of(self.set, self.version)
        return _read(
            self.set, self.version, path.stat().st_mtime_ns if path.is_file() else 0, str(path)
        )


@functools.lru_cache(maxsize=1)
def _read(name: str, version: int, modified: int, path: str) -> PublicSet:
    """A set; read anew when it was fetched anew."""
    return public_sets.read(name, version)
