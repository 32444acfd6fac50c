"""An NPZ file of the user."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape, InputGroup
from optlab.core.errors import InvalidInput
from optlab.core.fields import Texts, choice, did_you_mean, names, shown, text
from optlab.outside.datafiles.dialect import Asked
from optlab.outside.datafiles.npz_arrays import (
    Examples,
    number_of_codes,
    read_examples,
    read_more_inputs,
)


class NPZFile(Dataset):
    """Your own arrays, as written by numpy.savez: one of inputs, one of targets.

    The first axis of both is that of the examples; the inputs may have further axes, as images
    have. Object arrays are rejected, since loading them could run code.

    There may be several arrays of inputs, such as the tokens of a text and a mask, for a model of
    your own whose forward pass takes several tensors; it gets each array in its own shape. Arrays of
    codes, such as tokens, arrive as whole numbers for an embedding. Codes and true-or-false values
    are not standardized.
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
        "images). Several names with commas between them for several arrays.",
    )
    codes: Texts = names(
        (),
        "Arrays of codes",
        help="Arrays of inputs whose values 0, 1, … name things, such as the tokens of a text, and "
        "measure nothing: for an embedding in a model of your own.",
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
        groups = self._parts()[1]
        width = sum(group.width for group in groups)
        inputs = (width,) if groups else examples.x.shape[1:]
        return DataShape(inputs, examples.outputs, examples.task, groups)

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        arrays, groups = self._parts()
        x = (
            np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
            if groups
            else arrays[0]
        )
        return x.astype(np.float64), self._examples().y.copy()

    def unscaled(self) -> NDArray[np.bool_] | None:
        arrays, groups = self._parts()
        if not groups:
            return None
        return np.concatenate(
            [
                np.full(group.width, bool(group.codes) or array.dtype == np.bool_)
                for array, group in zip(arrays, groups, strict=True)
            ]
        )

    def reads_outside(self) -> bool:
        return bool(self.path)

    def short_name(self) -> str:
        return Path(self.path).name or self.name

    def class_names(self) -> Sequence[str]:
        return self._examples().class_names

    def files(self) -> tuple[Path, ...]:
        return (Path(self.path).expanduser(),) if self.path else ()

    def _examples(self) -> Examples:
        return _read(*self._file(), self._names()[0], self.y, self.task)

    def _parts(self) -> tuple[tuple[NDArray[Any], ...], tuple[InputGroup, ...]]:
        """Return the arrays of inputs, and a group for each, () for a single array of quantities."""
        asked = self._names()
        if len(asked) == 1 and not self.codes:
            return (self._examples().x,), ()
        return _read_several(*self._file(), asked, self.y, self.task, self.codes)

    def _file(self) -> tuple[Path, int, int]:
        """Return the path of the file, the time of its last change, and its size."""
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
        return path, state.st_mtime_ns, state.st_size

    def _names(self) -> tuple[str, ...]:
        """Return the names of the arrays of inputs; ("",) for the usual one."""
        return tuple(name.strip() for name in self.x.split(",") if name.strip()) or ("",)


@functools.lru_cache(maxsize=2)
def _read(path: Path, modified: int, size: int, x: str, y: str, task: Asked) -> Examples:
    """Read the examples of a file, again when the file has changed."""
    return read_examples(path, x, y, task)


@functools.lru_cache(maxsize=2)
def _read_several(
    path: Path,
    modified: int,
    size: int,
    names: tuple[str, ...],
    y: str,
    task: Asked,
    codes: tuple[str, ...],
) -> tuple[tuple[NDArray[Any], ...], tuple[InputGroup, ...]]:
    """Return several arrays of inputs, with a group for each.

    Raises:
        InvalidInput: one cannot be used, or codes are stated of what has none.
    """
    first = _read(path, modified, size, names[0], y, task)
    # Where no name is given, that of the usual array.
    names = (first.names[0], *names[1:])
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None or first.names[1] in names:
        raise InvalidInput(
            f"dataset.x names {shown(twice or first.names[1])}, which "
            f"{'stands there twice' if twice else 'is the array of targets'}; remove it.",
            "dataset.x",
        )
    unknown = next((name for name in codes if name not in names), None)
    if unknown is not None:
        raise InvalidInput(
            f"dataset.codes names {shown(unknown)}{did_you_mean(unknown, names)}, but the arrays of "
            f"inputs are: {', '.join(names)}.",
            "dataset.codes",
        )
    arrays = (first.x, *read_more_inputs(path, names[1:], len(first.x)))
    return arrays, tuple(
        InputGroup(
            name,
            tuple(array.shape[1:]),
            number_of_codes(f"{path}, array {shown(name)}", array) if name in codes else 0,
        )
        for name, array in zip(names, arrays, strict=True)
    )
