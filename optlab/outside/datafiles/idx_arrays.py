"""IDX files, as MNIST ships.

A few bytes that give type and shape, then the values; often compressed by gzip.

The sizes are checked before anything is allocated, and the file must hold exactly what it
announces.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.reading import open_regular
from optlab.outside.datafiles.npz_arrays import LARGEST_RATIO, LARGEST_VALUES, SMALL_BYTES
from optlab.outside.datafiles.targets import finite

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_TRAINING, _TEST = "train", "t10k"


@dataclass(frozen=True)
class Head:
    """What the first bytes of a file say.

    The shape and type of its array, and how many bytes they are.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    @property
    def bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_head(path: Path) -> Head:
    """Return the shape and type of a file's array; no values are read.

    Raises:
        InvalidInput: the file cannot be read or is no IDX file, or announces more than fits.
    """
    with _opened(path) as stream:
        return _head(path, stream)


def read_idx(path: Path, most: int | None = None) -> NDArray[Any]:
    """Return the array ``[n, …]`` of a file, in the machine's byte order.

    Args:
        most: number of rows to read at most, for a preview.

    Raises:
        InvalidInput: see :func:`read_head`; or the file holds less or more than it announces, or a
            value is not finite.
    """
    with _opened(path) as stream:
        head = _head(path, stream)
        rows = head.shape[0] if most is None else min(most, head.shape[0])
        shape = (rows, *head.shape[1:])
        values = np.empty(math.prod(shape), head.dtype)
        space = values.view(np.uint8).data
        filled = 0
        while filled < len(space):
            part = stream.read(min(2**20, len(space) - filled))
            if not part:
                raise InvalidInput(
                    f"{path} is cut off: it announces {head.bytes:,} bytes of values, but has "
                    f"{filled:,}; copy or download it again.",
                    "dataset.images",
                )
            space[filled : filled + len(part)] = part
            filled += len(part)
        if most is None and stream.read(1):
            raise InvalidInput(
                f"{path} has bytes left over after the {head.bytes:,} that it announces; copy or "
                "download it again.",
                "dataset.images",
            )
    return finite(str(path), values.astype(head.dtype.newbyteorder("="), copy=False).reshape(shape))


def usual_files(folder: Path) -> tuple[Path, Path, Path | None, Path | None]:
    """Training images and labels in a folder, and test images and labels if both are there.

    Raises:
        InvalidInput: the folder cannot be read, or has no training pair.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be read: {error.strerror or error}.", "dataset.images"
        ) from None
    images, labels = (_among(folder, names, _TRAINING, what) for what in ("images", "labels"))
    if images is None or labels is None:
        missing = "images" if images is None else "labels"
        raise InvalidInput(
            f"{folder} has no training {missing}: a file like "
            f"train-{missing}-idx{3 if images is None else 1}-ubyte, or with .gz, is looked for.",
            "dataset.images",
        )
    test = [_among(folder, names, _TEST, what) for what in ("images", "labels")]
    return (images, labels, test[0], test[1]) if None not in test else (images, labels, None, None)


def labels_beside(images: Path) -> Path | None:
    """Return the labels that belong to a file of images by its name, if they are there."""
    for word, other in (("images", "labels"), ("idx3", "idx1")):
        if word not in images.name:
            return None
        images = images.with_name(images.name.replace(word, other))
    options = (
        images,
        images.with_name(images.name.removesuffix(".gz")),
        images.with_name(images.name + ".gz"),
    )
    return next((path for path in options if path.is_file()), None)


def _among(folder: Path, names: list[str], part: str, what: str) -> Path | None:
    """The file of a part in a folder; unpacked before packed."""
    fitting = [name for name in names if name.startswith(part) and what in name and "idx" in name]
    return folder / min(fitting, key=lambda name: (name.endswith(".gz"), name)) if fitting else None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open_regular(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(
            f"{path} is damaged: {' '.join(str(error).split()).rstrip('.')}; copy or download it "
            "again.",
            "dataset.images",
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror or error}.", "dataset.images"
        ) from None


def _head(path: Path, stream: IO[bytes]) -> Head:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 8:
        raise InvalidInput(
            f"{path} is no IDX file: its first bytes are {magic.hex(' ') or 'missing'}; those of "
            "MNIST are 00 00 08 03.",
            "dataset.images",
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise InvalidInput(
            f"{path} is cut off within its sizes; copy or download it again.", "dataset.images"
        )
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
    head = Head(shape, np.dtype(_TYPES[magic[2]]), 4 + len(sizes))
    values = math.prod(shape)
    if values == 0:
        raise InvalidInput(
            f"{path} announces the shape {list(shape)}, so it holds no examples.", "dataset.images"
        )
    if values > LARGEST_VALUES:
        raise InvalidInput(
            f"{path} announces {values:,} values, more than the {LARGEST_VALUES:,} that fit.",
            "dataset.images",
        )
    there = path.stat().st_size
    if head.bytes > SMALL_BYTES and head.bytes > LARGEST_RATIO * there:
        raise InvalidInput(
            f"{path} announces {head.bytes:,} bytes of values, but has {there:,} bytes itself, "
            "too few even packed.",
            "dataset.images",
        )
    return head
