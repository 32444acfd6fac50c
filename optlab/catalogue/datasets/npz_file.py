"""An NPZ file of the user."""

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
    """Your own arrays, as written by numpy.savez: one of inputs, one of targets.

    The first axis of both is that of the examples; the inputs may have further axes, as images
    have. Object arrays are rejected, since loading them could run code.
    """

    name: ClassVar[str] = "npz_file"
    label: ClassVar[str] = "NPZ file…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 91
    source: ClassVar[str] = "Your own data."

    path: str = text(
        "",
        "File",
        longest=4096,
        help="Path of the file; a relative path starts from the folder in which OptLab was "
        "started.",
    )
    x: str = text(
        "",
        "Inputs",
        help="Name of the array of inputs; empty for a common name (x, X, x_train, data, inputs, "
        "images).",
    )
    y: str = text(
        "",
        "Targets",
        help="Name of the array of targets; empty for the common name that matches the inputs (y, "
        "target, labels).",
    )
    task: Asked = choice(
        "auto",
        "Task",
        help="Whether the target is a class or a real number; auto: classes if the array holds "
        "words or few distinct integers.",
    )

    def shape(self) -> DataShape:
        examples = self._examples()
        return DataShape(examples.x.shape[1:], examples.outputs, examples.task)

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        examples = self._examples()
        return examples.x.astype(np.float64), examples.y.copy()

    def reads_outside(self) -> bool:
        return bool(self.path)

    def short_name(self) -> str:
        return Path(self.path).name or self.name

    def class_names(self) -> Sequence[str]:
        return self._examples().class_names

    def files(self) -> tuple[Path, ...]:
        return (Path(self.path).expanduser(),) if self.path else ()

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
                f"dataset.path: {path} cannot be read: "
                f"{getattr(error, 'strerror', None) or error}.",
                "dataset.path",
            ) from None
        return _read(path, self.x, self.y, self.task, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _read(path: Path, x: str, y: str, task: Asked, modified: int, size: int) -> Examples:
    """Read the examples of a file, again when the file has changed."""
    return read_examples(path, x, y, task)
