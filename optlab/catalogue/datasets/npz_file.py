"""An NPZ file of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, text
from optlab.outside.datafiles.dialect import Asked
from optlab.outside.datafiles.npz_arrays import Examples, read_examples


class NPZFile(Dataset):
    """Arrays of your own, as numpy.savez writes them: one of inputs, one of targets.

    The first axis of both counts the examples; the inputs may have further axes, as images have.
    Object arrays are refused, since unpacking them could run code.
    """

    name: ClassVar[str] = "npz_file"
    label: ClassVar[str] = "NPZ file…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 91
    source: ClassVar[str] = "The user's own."

    path: str = text(
        "",
        "File",
        longest=4096,
        help="Path of the file; a relative one starts from the folder in which OptLab was started.",
    )
    x: str = text(
        "",
        "Inputs",
        help="Name of the array of inputs; empty for a usual one (x, X, x_train, data, inputs, images).",
    )
    y: str = text(
        "",
        "Targets",
        help="Name of the array of targets; empty for the one that usually goes with the inputs (y, target, labels).",
    )
    task: Asked = choice(
        "auto",
        "Task",
        help="Whether the target is a class or a real number; auto: classes if it holds words or few whole numbers.",
    )

    def shape(self) -> DataShape:
        found = self._examples()
        return DataShape(found.x.shape[1:], found.outputs, found.task)

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        found = self._examples()
        return found.x.astype(np.float64), found.y.copy()

    def short_name(self) -> str:
        return Path(self.path).name or self.name

    def class_names(self) -> Sequence[str]:
        return self._examples().class_names

    def _examples(self) -> Examples:
        if not self.path:
            raise InvalidInput(
                "dataset.path is empty; it must be the path of an NPZ file.", "dataset.path"
            )
        path = Path(self.path).expanduser()
        try:
            state = path.stat()
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"dataset.path: {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
                "dataset.path",
            ) from None
        return _read(path, self.x, self.y, self.task, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _read(path: Path, x: str, y: str, task: Asked, modified: int, size: int) -> Examples:
    """The examples of a file; read anew when the file has changed."""
    return read_examples(path, x, y, task)
