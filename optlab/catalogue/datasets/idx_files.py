"""IDX files of the user: MNIST and similar sets, as they are distributed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import text
from optlab.outside.datafiles.idx_arrays import labels_beside, read_idx, usual_files
from optlab.outside.datafiles.targets import Targets, targets


@dataclass(frozen=True)
class _Pair:
    images: NDArray[Any]
    labels: Targets


class IDXFiles(Dataset):
    """Images and their labels in two files, like MNIST, with or without gzip compression.

    Give a folder to use the files with the usual names in it. If it holds a test pair (t10k), that
    is the test part, and the test share is ignored.
    """

    name: ClassVar[str] = "idx_files"
    label: ClassVar[str] = "IDX files (MNIST)…"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 92
    source: ClassVar[str] = "Your own data, in the format of Y. LeCun's MNIST files."

    images: str = text(
        "",
        "Images",
        longest=4096,
        help="A folder with the usual files, or the file of images itself (gzip or not).",
    )
    labels: str = text(
        "",
        "Labels",
        longest=4096,
        help="The file of labels; empty for the file whose name matches the images.",
    )
    test_images: str = text(
        "",
        "Test images",
        longest=4096,
        help="A file of images for the test part; empty for none, or for that of the folder.",
    )
    test_labels: str = text(
        "",
        "Test labels",
        longest=4096,
        help="The labels of the test images; empty for the file whose name matches them.",
    )

    def shape(self) -> DataShape:
        pair = self._pairs()[0]
        return DataShape(pair.images.shape[1:] or (1,), pair.labels.outputs, "classes")

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        return self._as_float(self._pairs()[0])

    def test_examples(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]] | None:
        pair = self._pairs()[1]
        return None if pair is None else self._as_float(pair)

    def reads_outside(self) -> bool:
        return bool(self.images)

    def short_name(self) -> str:
        return Path(self.images).name or self.name

    def class_names(self) -> Sequence[str]:
        return self._pairs()[0].labels.class_names

    def files(self) -> tuple[Path, ...]:
        if not self.images:
            return ()
        images, labels, test_images, test_labels = self._places()
        pairs = [(images, labels)] + ([(test_images, test_labels)] if test_images else [])
        return tuple(
            path
            for images, labels in pairs
            for path in (images, labels or labels_beside(images))
            if path is not None
        )

    def _as_float(
        self, pair: _Pair
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        return pair.images.astype(np.float64).reshape(
            len(pair.images), *self.shape().inputs
        ), pair.labels.y.copy()

    def _pairs(self) -> tuple[_Pair, _Pair | None]:
        if not self.images:
            raise InvalidInput(
                "dataset.images is empty; it must be a folder with IDX files, or a file of images.",
                "dataset.images",
            )
        images, labels, test_images, test_labels = self._places()
        training = _pair(images, labels, "labels")
        if test_images is None:
            return training, None
        test = _pair(test_images, test_labels, "test_labels")
        if test.images.shape[1:] != training.images.shape[1:]:
            raise InvalidInput(
                f"{test_images} has images of shape {list(test.images.shape[1:])}, but those of "
                f"{images} have the shape {list(training.images.shape[1:])}.",
                "dataset.test_images",
            )
        unknown = sorted(set(test.labels.class_names) - set(training.labels.class_names))
        if unknown:
            raise InvalidInput(
                f"{test_images}: the class {unknown[0]} of its labels is not among those of the "
                "training part.",
                "dataset.test_labels",
            )
        # A label is the same class in both parts, even if the test part lacks some classes.
        number = np.array(
            [training.labels.class_names.index(name) for name in test.labels.class_names],
            dtype=np.int64,
        )
        return training, _Pair(
            test.images, Targets(number[test.labels.y], training.labels.class_names, "classes")
        )

    def _places(self) -> tuple[Path, Path | None, Path | None, Path | None]:
        """Return the files of images and labels, then those of the test part; None: not given."""
        images = Path(self.images).expanduser()
        labels, test_images, test_labels = (
            Path(p).expanduser() if p else None
            for p in (self.labels, self.test_images, self.test_labels)
        )
        if images.is_dir():
            images, usual_labels, usual_test_images, usual_test_labels = usual_files(images)
            labels = labels or usual_labels
            if test_images is None:
                test_images, test_labels = usual_test_images, test_labels or usual_test_labels
        return images, labels, test_images, test_labels


def _pair(images: Path, labels: Path | None, field: str) -> _Pair:
    labels = labels or labels_beside(images)
    if labels is None:
        raise InvalidInput(
            f"No file of labels is found beside {images}; specify it (dataset.{field}).",
            f"dataset.{field}",
        )
    states: list[int] = []
    for path in (images, labels):
        try:
            state = path.stat()
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.",
                f"dataset.{field}",
            ) from None
        states += [state.st_mtime_ns, state.st_size]
    return _read(images, labels, tuple(states))


@functools.lru_cache(maxsize=4)
def _read(images: Path, labels: Path, state: tuple[int, ...]) -> _Pair:
    """Read two files, again when one has changed.

    Images keep their stored type: bytes take an eighth of the memory of floats.
    """
    x, y = read_idx(images), read_idx(labels)
    if y.ndim != 1:
        raise InvalidInput(
            f"{labels} has the shape {list(y.shape)}, but labels are one number an image (are "
            "images and labels swapped?).",
            "dataset.labels",
        )
    if len(x) != len(y):
        raise InvalidInput(
            f"{images} has {len(x):,} images, but {labels} has {len(y):,} labels; every image "
            "needs "
            "its own.",
            "dataset.labels",
        )
    return _Pair(x, targets(str(labels), y, "classes"))
