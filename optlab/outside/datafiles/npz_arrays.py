"""NPZ files: arrays as NumPy saves them, read without trust.

The zip directory and the header of an array are checked before anything is allocated for it: what
it claims to hold must be numbers or words, of a size that fits, and exactly what the file has.
Nothing is unpickled.
"""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.core.reading import open_regular
from optlab.outside.datafiles.dialect import Asked
from optlab.outside.datafiles.targets import finite, targets

LARGEST_VALUES = 2**27
"""Values that an array may hold: 1 GiB in float64, and training needs a few times that."""
LARGEST_BYTES = 2 * 1024**3
"""Bytes that a file may have."""
LARGEST_DIRECTORY = 1024 * 1024
"""Bytes of a zip directory: some ten thousand arrays."""
LARGEST_HEADER = 10_000
"""Bytes of an array's header; NumPy's own limit."""
LARGEST_RATIO = 500
"""How many times its size in the file a large array may unpack to; real data stay far below."""
SMALL_BYTES = 64 * 1024 * 1024
"""An array of so many bytes is harmless however well it was packed."""

PAIRS = (
    ("x", "y"),
    ("X", "y"),
    ("X", "Y"),
    ("x_train", "y_train"),
    ("data", "target"),
    ("inputs", "targets"),
    ("images", "labels"),
)
"""Names under which inputs and targets are looked for where none are given."""

_DTYPE = re.compile(r"[<>|=](?:b1|[iu][1248]|f[248]|U[1-9]\d{0,4})")
# What zipfile raises for a damaged archive.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # an encrypted member, or a method of compression that zipfile does not know
    UnicodeDecodeError,
    ValueError,
)


@dataclass(frozen=True)
class Entry:
    """One array of a file, as its header describes it.

    Attributes:
        name: without ``.npy``. shape, dtype: of the array. fortran: whether columns lie together.
            start: bytes before the first value.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def values(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Examples:
    """What was read.

    ``x`` ``[n, *inputs]`` as stored, ``y`` class numbers ``[n]`` or values ``[n, outputs]``; names
    of both arrays.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    class_names: tuple[str, ...]
    task: LearningTask
    names: tuple[str, str]

    @property
    def outputs(self) -> int:
        """Number of classes, or of target values."""
        return len(self.class_names) if self.task == "classes" else int(self.y.shape[1])


def entries(path: Path) -> dict[str, Entry]:
    """Name → what its header says, of every array in a file; no values are read.

    Raises:
        InvalidInput: the file is no sound NPZ file, or an array's header is wrong.
    """
    with _opened(path) as archive:
        return {name: _entry(path, archive, info) for name, info in _members(path, archive).items()}


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return one array, in C order, of the shape ``[n, …]`` that its header states.

    Raises:
        InvalidInput: it is not there, not usable, or not whole.
    """
    with _opened(path) as archive:
        return _array(path, archive, name)


def read_examples(path: Path, x: str = "", y: str = "", task: Asked = "auto") -> Examples:
    """Inputs and targets.

    Args:
        x, y: names of the arrays; "" to look for one of the usual pairs. An ``x`` of one axis is
            one input a row.

    Raises:
        InvalidInput: an array is missing or unusable, a value is not finite, or the two differ in
            length.
    """
    with _opened(path) as archive:
        names = usual_names(path, tuple(_members(path, archive)), x, y)
        inputs = _array(path, archive, names[0])
        raw = _array(path, archive, names[1])
    found_inputs = _inputs(path, names[0], inputs)
    if raw.ndim == 0 or len(raw) != len(inputs):
        rows = len(raw) if raw.ndim else 0
        raise InvalidInput(
            f"{path}: array {shown(names[0])} has {len(inputs):,} rows, but {shown(names[1])} has "
            f"{rows:,}; every example needs its target.",
            "dataset.y",
        )
    place = f"{path}, array {shown(names[1])}"
    found = targets(place, finite(place, raw), task)
    return Examples(
        found_inputs,
        found.y,
        found.class_names,
        found.task,
        names,
    )


def read_more_inputs(path: Path, names: Sequence[str], rows: int) -> list[NDArray[Any]]:
    """Return further arrays of inputs ``[rows, …]`` of a file, each with at least two axes.

    Args:
        path: of the file. names: of the arrays. rows: number of examples.

    Raises:
        InvalidInput: an array is missing or unusable, a value is not finite, or it has another
            length.
    """
    found = []
    with _opened(path) as archive:
        for name in names:
            inputs = _inputs(path, name, _array(path, archive, name))
            if len(inputs) != rows:
                raise InvalidInput(
                    f"{path}: array {shown(name)} has {len(inputs):,} rows, but there are "
                    f"{rows:,} examples; every array of inputs needs a row for each.",
                    "dataset.x",
                )
            found.append(inputs)
    return found


LARGEST_CODE = 2**24
"""Codes are exact up to here in float32."""


def number_of_codes(where: str, values: NDArray[Any]) -> int:
    """Return the number n of codes where ``values`` ``[rows, …]`` are codes 0, …, n − 1.

    Raises:
        InvalidInput: a value is no code; the message begins with ``where``.
    """
    low, high = float(values.min()), float(values.max())
    if low < 0.0 or high >= LARGEST_CODE or (values != np.floor(values)).any():
        raise InvalidInput(
            f"{where} has values from {low:g} to {high:g}, but codes are whole numbers from 0 to "
            f"{LARGEST_CODE - 1}; take it out of dataset.codes.",
            "dataset.codes",
        )
    return int(high) + 1


def _inputs(path: Path, name: str, inputs: NDArray[Any]) -> NDArray[Any]:
    where = f"{path}, array {shown(name)}"
    if inputs.dtype.kind == "U":
        raise InvalidInput(
            f"{where} holds words, but inputs are numbers; words are for targets.", "dataset.x"
        )
    if inputs.ndim == 0 or inputs.size == 0:
        raise InvalidInput(
            f"{where} has the shape {list(inputs.shape)}, so it holds no examples.", "dataset.x"
        )
    return finite(where, inputs if inputs.ndim > 1 else inputs[:, None])


def usual_names(path: Path, known: tuple[str, ...], x: str, y: str) -> tuple[str, str]:
    """Return the names of inputs and targets among those that are ``known``.

    Raises:
        InvalidInput: a given one is not there, or none was given and none is usual.
    """
    listing = ", ".join(shown(name) for name in known[:20]) + (", …" if len(known) > 20 else "")
    if not known:
        raise InvalidInput(
            f"{path} holds no arrays; save them with numpy.savez(path, x=…, y=…).", "dataset.path"
        )
    for name, field in ((x, "x"), (y, "y")):
        if name and name not in known:
            raise InvalidInput(
                f"{path} has no array {shown(name)}{did_you_mean(name, known)}; its arrays are: "
                f"{listing}.",
                f"dataset.{field}",
            )
    for first, second in ((x, y), *PAIRS):
        pair = (x or first, y or second)
        if pair[0] in known and pair[1] in known and pair[0] != pair[1]:
            return pair
    raise InvalidInput(
        f"{path}: which arrays are inputs and targets is not clear; name them (dataset.x, "
        f"dataset.y) out of: {listing}.",
        "dataset.x",
    )


# --- the archive -----------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InvalidInput(
                f"{path} has {size:,} bytes, more than the {LARGEST_BYTES:,} that an NPZ file may "
                "have.",
                "dataset.path",
            )
        with open_regular(path) as file:
            _look_at_directory(path, file, size)
            with zipfile.ZipFile(file) as archive:
                yield archive
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror or error}.", "dataset.path"
        ) from None
    except _BROKEN as error:
        raise InvalidInput(
            f"{path} is damaged or no NPZ file: {_plain(error)}.", "dataset.path"
        ) from None


def _look_at_directory(path: Path, file: IO[bytes], size: int) -> None:
    """The directory is read as a whole, so its size is checked first."""
    start = file.read(8)
    if start.startswith(b"\x93NUMPY"):
        raise InvalidInput(
            f"{path} is a single array (NPY); save inputs and targets together with "
            "numpy.savez(path, x=…, y=…).",
            "dataset.path",
        )
    if not start.startswith(b"PK"):
        raise InvalidInput(
            f"{path} is no NPZ file; save it with numpy.savez(path, x=…, y=…).", "dataset.path"
        )
    file.seek(max(0, size - 65_557))
    tail = file.read(65_557)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise InvalidInput(
            f"{path} is cut off: the directory at its end is missing; copy or save it again.",
            "dataset.path",
        )
    if int.from_bytes(tail[end + 12 : end + 16], "little") > LARGEST_DIRECTORY:
        raise InvalidInput(
            f"{path} has a directory of more than {LARGEST_DIRECTORY:,} bytes, so it is no table "
            "of examples.",
            "dataset.path",
        )
    file.seek(0)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Array name → its place in the archive."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if not info.filename.endswith(".npy"):
            continue
        name = info.filename.removesuffix(".npy")
        if name in found:
            raise InvalidInput(
                f"{path} holds the array {shown(name)} twice; names must differ.", "dataset.path"
            )
        found[name] = info
    return found


def _entry(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    """What the header of an array says, checked against what the archive has of it."""
    name = info.filename.removesuffix(".npy")
    where = f"{path}, array {shown(name)}"
    if info.flag_bits & 0x1:
        raise InvalidInput(
            f"{where} is encrypted; save the file without a password.", "dataset.path"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidInput(
            f"{where} is packed in a way that NumPy does not use; save it with numpy.savez or "
            "savez_compressed.",
            "dataset.path",
        )
    with archive.open(info) as stream:
        start = stream.read(8)
        if len(start) < 8 or not start.startswith(b"\x93NUMPY") or start[6] not in (1, 2, 3):
            raise InvalidInput(f"{where} is no array that NumPy wrote.", "dataset.path")
        width = 2 if start[6] == 1 else 4
        length = int.from_bytes(stream.read(width), "little")
        if length > LARGEST_HEADER:
            raise InvalidInput(
                f"{where} has a header of {length:,} bytes, but at most {LARGEST_HEADER:,} are "
                "read.",
                "dataset.path",
            )
        header = stream.read(length)
    shape, descr, fortran = _header(
        where, header if len(header) == length else b"", "utf-8" if start[6] == 3 else "latin-1"
    )
    entry = Entry(name, shape, _dtype(where, descr), fortran, 8 + width + length)
    cells = entry.values * max(1, entry.dtype.itemsize // 8)
    if cells > LARGEST_VALUES:
        raise InvalidInput(
            f"{where} claims to hold {entry.values:,} values, more than the {LARGEST_VALUES:,} "
            "that fit.",
            "dataset.path",
        )
    declared, there = entry.start + entry.values * entry.dtype.itemsize, info.file_size
    if declared != there:
        what = "is cut off" if there < declared else "has bytes left over"
        raise InvalidInput(
            f"{where} {what}: its header promises {declared:,} bytes, the file has {there:,}; "
            "save it again.",
            "dataset.path",
        )
    if there > SMALL_BYTES and there > LARGEST_RATIO * max(1, info.compress_size):
        raise InvalidInput(
            f"{where} would unpack to more than {LARGEST_RATIO} times its size in the file, as no "
            "data do; save it without compression if it is sound.",
            "dataset.path",
        )
    return entry


def _header(where: str, header: bytes, encoding: str) -> tuple[tuple[int, ...], object, bool]:
    """Shape, type and order from a header: a literal, read as one."""
    try:
        said = ast.literal_eval(header.decode(encoding).strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        said = None
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise InvalidInput(f"{where} has a damaged header; save it again.", "dataset.path")
    shape, fortran = said["shape"], said["fortran_order"]
    sound = (
        isinstance(shape, tuple)
        and len(shape) <= 8
        and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    )
    if not sound or not isinstance(fortran, bool):
        raise InvalidInput(
            f"{where} has a shape that is no shape ({shown(shape)}); save it again.", "dataset.path"
        )
    return shape, said["descr"], fortran


def _dtype(where: str, descr: object) -> np.dtype[Any]:
    if isinstance(descr, str) and _DTYPE.fullmatch(descr):
        return np.dtype(descr)
    if isinstance(descr, str) and descr.lstrip("<>|=").startswith("O"):
        raise InvalidInput(
            f"{where} holds Python objects, which are never unpacked since they could run code; "
            "save it as numbers (array.astype(float)).",
            "dataset.path",
        )
    raise InvalidInput(
        f"{where} is of type {shown(descr)}; it must hold truth values, whole or real numbers, or "
        "words.",
        "dataset.path",
    )


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    members = _members(path, archive)
    if name not in members:
        raise InvalidInput(
            f"{path} has no array {shown(name)}{did_you_mean(name, members)}.", "dataset.path"
        )
    entry = _entry(path, archive, members[name])
    flat = np.empty(entry.values, entry.dtype)
    space = flat.view(np.uint8).data
    with archive.open(members[name]) as stream:
        stream.read(entry.start)
        filled = 0
        while filled < len(space):
            count = stream.readinto(space[filled : filled + 2**20])  # type: ignore[attr-defined]
            if not count:
                raise EOFError("the values end too early")
            filled += count
        stream.read(1)  # the checksum is compared at the end of the stream
    if entry.dtype.kind == "b" and flat.size and int(flat.view(np.uint8).max()) > 1:
        raise InvalidInput(
            f"{path}, array {shown(name)} holds truth values that are neither true nor false.",
            "dataset.path",
        )
    if (
        entry.dtype.kind == "U"
        and flat.size
        and int(flat.view(f"{entry.dtype.byteorder}u4").max()) > 0x10FFFF
    ):
        raise InvalidInput(
            f"{path}, array {shown(name)} holds signs that no text has.", "dataset.path"
        )
    native = flat.astype(entry.dtype.newbyteorder("="), copy=False)
    return np.asarray(native.reshape(entry.shape, order="F" if entry.fortran else "C"), order="C")


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
