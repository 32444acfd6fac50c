"""Public data sets of OpenML, read from this machine."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
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
    """A public data set of OpenML, fetched once and then read from this machine.

    Fetch it with optlab fetch NAME; a run never uses the network. A column of words becomes one
    column per word.
    """

    name: ClassVar[str] = "openml"
    label: ClassVar[str] = "Public set (OpenML)…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 95
    source: ClassVar[str] = "J. Vanschoren et al. (2013), OpenML; sklearn.datasets.fetch_openml."

    set: str = text(
        "",
        "Name",
        help="Name of the set at OpenML, for example mnist_784; fetch it first with optlab fetch "
        "NAME.",
    )
    version: int = integer(
        1, "Version", ge=1, le=10_000, help="Version of the set; a version never changes."
    )
    missing: Literal["refuse", "drop", "mean"] = choice(
        "refuse",
        "Missing values",
        help="Whether a missing value is an error, drops its row, or is replaced by the mean of "
        "its column.",
    )

    def shape(self) -> DataShape:
        self._check()
        return public_sets.shape_of(self.set, self.version)

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        data = self._data()
        absent = np.isnan(data.x)
        if not absent.any():
            return data.x.copy(), data.y.copy()
        if self.missing == "refuse":
            row, column = np.unravel_index(int(np.argmax(absent)), absent.shape)
            raise InvalidInput(
                f"The data set '{self.set}', row {row + 1}, column {data.input_names[column]}: the "
                "value is missing; choose what to do with missing values (dataset.missing: drop, "
                "mean).",
                "dataset.missing",
            )
        if self.missing == "drop":
            complete = ~absent.any(axis=1)
            if not complete.any():
                raise InvalidInput(
                    f"The data set '{self.set}': every row has a missing value, so none is left.",
                    "dataset.missing",
                )
            return data.x[complete], data.y[complete]
        counts = (~absent).sum(axis=0)
        if (counts == 0).any():
            empty = int(np.argmin(counts))
            raise InvalidInput(
                f"The data set '{self.set}', column {data.input_names[empty]}: every value is "
                "missing; choose another set.",
                "dataset.missing",
            )
        return data.x.copy(), data.y.copy()

    def input_names(self) -> Sequence[str]:
        return self._data().input_names

    def reads_outside(self) -> bool:
        return bool(self.set)

    def short_name(self) -> str:
        return self.set or self.name

    def class_names(self) -> Sequence[str]:
        return self._data().class_names

    def files(self) -> tuple[Path, ...]:
        return (public_sets.file_of(self.set, self.version),) if self.set else ()

    def _check(self) -> None:
        if not self.set:
            fetched = ", ".join(
                f"{name} (version {version})" for name, version in public_sets.fetched()
            )
            choices = (
                f"fetched are: {fetched}"
                if fetched
                else "none is fetched yet, see optlab fetch --help"
            )
            raise InvalidInput(
                "dataset.set is empty; it must be the name of a public set, as mnist_784; "
                f"{choices}.",
                "dataset.set",
            )

    def _data(self) -> PublicSet:
        self._check()
        path = public_sets.file_of(self.set, self.version)
        return _read(
            self.set, self.version, path.stat().st_mtime_ns if path.is_file() else 0, str(path)
        )


@functools.lru_cache(maxsize=1)
def _read(name: str, version: int, modified: int, path: str) -> PublicSet:
    """Read a set, again when it has been fetched again."""
    return public_sets.read(name, version)
