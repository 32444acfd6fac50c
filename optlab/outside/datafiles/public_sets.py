"""Public data sets by name.

Fetched once from OpenML by scikit-learn's own loader, then a file of ours.

Nothing is fetched except on request. A set is kept as an NPZ file in the user's data folder,
written in one act; experiments read that file, so they need neither the network nor scikit-learn.
"""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core import paths
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput, MissingPart
from optlab.core.fields import shown
from optlab.core.files import replacing
from optlab.outside.datafiles.npz_arrays import LARGEST_VALUES, entries, read_array
from optlab.outside.datafiles.targets import targets

SECONDS = 30.0
"""How long the other side may be silent."""
RETRIES = 2
"""How often a request is made again after an error of the network."""
PAUSE = 1.0
"""Seconds before it is made again."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.()+-]{0,99}")
_ARRAYS = ("x", "y", "input_names", "class_names")

Progress = Callable[[int, int | None], bool]
"""Called with the bytes that have come and how many will, if that is known; False cancels."""


class _Canceled(BaseException):
    """Not an Exception, since the loader tries again after those."""


@dataclass(frozen=True)
class PublicSet:
    """A fetched set.

    ``x`` ``[n, inputs]`` may hold nan for missing values; ``y``: class numbers ``[n]`` or values
    ``[n, outputs]``.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]
    input_names: tuple[str, ...]
    class_names: tuple[str, ...]


def folder() -> Path:
    """Return where fetched sets lie (not created)."""
    return paths.home() / "datasets"


def file_of(name: str, version: int) -> Path:
    """Return the file of a set; it need not be there.

    Raises:
        InvalidInput: the name cannot be one at OpenML.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{shown(name)} cannot be the name of a public data set; names are like mnist_784 or "
            "credit-g.",
            "dataset.set",
        )
    return folder() / f"{name.lower()}-{version}.npz"


def fetched() -> list[tuple[str, int]]:
    """Name and version of every set that is there."""
    found = [re.fullmatch(r"(.+)-(\d+)\.npz", path.name) for path in sorted(folder().glob("*.npz"))]
    return [(match[1], int(match[2])) for match in found if match is not None]


def shape_of(name: str, version: int) -> DataShape:
    """Return the shape of a fetched set, from the headers of its file.

    Raises:
        InvalidInput: it was not fetched, or its file is damaged.
    """
    path = _there(name, version)
    found = entries(path)
    if set(found) != set(_ARRAYS) or len(found["x"].shape) != 2:
        raise _damaged(path, name, version)
    classes = found["class_names"].values
    return DataShape(
        found["x"].shape[1:],
        classes or found["y"].shape[-1],
        "classes" if classes else "regression",
    )


def read(name: str, version: int) -> PublicSet:
    """Return a fetched set.

    Raises:
        InvalidInput: it was not fetched, or its file is damaged.
    """
    shape = shape_of(name, version)
    path = _there(name, version)
    x, y, input_names, class_names = (read_array(path, key) for key in _ARRAYS)
    right = (
        x.dtype == np.float64
        and y.dtype == (np.int64 if shape.task == "classes" else np.float64)
        and len(x) == len(y)
    )
    if not right or (shape.task == "classes" and not ((y >= 0) & (y < shape.outputs)).all()):
        raise _damaged(path, name, version)
    return PublicSet(
        x, y, tuple(map(str, input_names.tolist())), tuple(map(str, class_names.tolist()))
    )


def fetch(name: str, version: int = 1, progress: Progress | None = None) -> Path:
    """Fetch a set and keep it; what has come until an error or a cancel is thrown away.

    Args:
        progress: called with the bytes received so far.

    Raises:
        InvalidInput: there is no such set, it cannot be used, there is no network, or it was
            canceled.
        MissingPart: scikit-learn is not installed. StoreError: it cannot be kept.
    """
    path = file_of(name, version)
    try:
        from sklearn.datasets import fetch_openml
    except ImportError:
        packaged = (
            "which the packaged OptLab leaves out; fetch the set once with an OptLab that pip "
            "installed, and this one finds it, too."
        )
        installable = "which is not installed; install it with: pip install scikit-learn"
        raise MissingPart(
            "Fetching a public data set needs scikit-learn, "
            f"{packaged if getattr(sys, 'frozen', False) else installable}"
        ) from None
    paths.writable_home()
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"The folder {path.parent} cannot be created: {error.strerror or error}."
        ) from None
    subject = f"The data set {shown(name)}, version {version},"
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as scratch,
        _watched(progress),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            # liac-arff comes with scikit-learn, pandas does not: with one parser everywhere a set
            # has the same values everywhere.
            bunch = fetch_openml(
                name,
                version=version,
                as_frame=False,
                parser="liac-arff",
                data_home=scratch,
                n_retries=RETRIES,
                delay=PAUSE,
            )
        except _Canceled:
            raise InvalidInput(
                f"{subject} was not fetched: canceled, and nothing was kept."
            ) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise InvalidInput(
                f"{subject} could not be fetched from OpenML ({_plain(reason)}); is there a "
                "network? "
                "Nothing was kept."
            ) from None
        except (
            ValueError,
            KeyError,
            TypeError,
            IndexError,
            RuntimeError,
            ImportError,
            MemoryError,
        ) as error:
            raise InvalidInput(f"{subject} cannot be used: {_plain(error)}.") from None
    kept = _usable(subject, bunch)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(zip(_ARRAYS, kept, strict=True)))
    return path


def _usable(
    subject: str, bunch: Any
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What the loader gave as arrays of ours; a column of words becomes one column a word."""
    data, target = bunch.data, bunch.target
    if target is None or getattr(target, "size", 0) == 0:
        raise InvalidInput(f"{subject} has no target, so there is nothing to learn.")
    if data.shape[0] * data.shape[1] > LARGEST_VALUES:
        raise InvalidInput(
            f"{subject} has {data.shape[0]:,} examples of {data.shape[1]:,} values, more than the "
            f"{LARGEST_VALUES:,} values that fit."
        )
    dense = np.asarray(data.toarray() if hasattr(data, "toarray") else data, dtype=np.float64)
    columns: list[NDArray[np.float64]] = []
    names: list[str] = []
    for number, name in enumerate(bunch.feature_names):
        words = (bunch.categories or {}).get(name)
        column = dense[:, number]
        if words is None:
            columns.append(column)
            names.append(str(name))
            continue
        missing = np.isnan(column)
        for code, word in enumerate(words):
            columns.append(np.where(missing, np.nan, (column == code).astype(np.float64)))
            names.append(f"{name}={word}")
        if len(columns) * len(dense) > LARGEST_VALUES:
            raise InvalidInput(
                f"{subject} has words with too many different values (column {shown(str(name))}) "
                "to "
                "fit."
            )
    if np.isinf(dense).any():
        raise InvalidInput(f"{subject} holds infinite values.")
    raw = np.asarray(target)
    raw = raw.astype(np.str_) if raw.dtype == object else raw
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise InvalidInput(f"{subject} has targets that are missing.")
    found = targets(subject.rstrip(","), raw, "classes" if raw.dtype.kind == "U" else "auto")
    class_names = (
        np.array(found.class_names, dtype=np.str_)
        if found.class_names
        else np.empty(0, dtype="<U1")
    )
    return (
        np.ascontiguousarray(np.column_stack(columns)),
        found.y,
        np.array(names, dtype=np.str_),
        class_names,
    )


def _there(name: str, version: int) -> Path:
    path = file_of(name, version)
    if not path.exists():
        raise InvalidInput(
            f"The data set {shown(name)}, version {version}, is not on this machine; fetch it "
            f"first: optlab fetch {name} --version {version}",
            "dataset.set",
        )
    return path


def _damaged(path: Path, name: str, version: int) -> InvalidInput:
    return InvalidInput(
        f"{path} is damaged; fetch it again: optlab fetch {name} --version {version}", "dataset.set"
    )


def _plain(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__


# --- the network -----------------------------------------------------------------------------------------------------------------


class _Watch(urllib.request.BaseHandler):
    """Sees every request and every byte: sets a time limit, tells the progress and cancels."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._come = 0

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        request.timeout = SECONDS
        return request

    def http_response(
        self, request: urllib.request.Request, response: HTTPResponse
    ) -> HTTPResponse:
        length = response.headers.get("Content-Length", "")
        whole = self._come + int(length) if length.isdecimal() else None
        read = response.read

        def counted(amount: int | None = None) -> bytes:
            part = read() if amount is None else read(amount)
            self._come += len(part)
            if not self._progress(self._come, whole):
                raise _Canceled
            return part

        response.read = counted  # type: ignore[method-assign,assignment]
        return response

    https_request, https_response = http_request, http_response


def opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Return what requests go through while a set is fetched."""
    return urllib.request.build_opener(*handlers)


@contextmanager
def _watched(progress: Progress | None) -> Iterator[None]:
    """The loader opens its addresses by ``urllib``, whose one opener is replaced meanwhile."""
    urllib.request.install_opener(opener(_Watch(progress or (lambda come, whole: True))))
    try:
        yield
    finally:
        urllib.request.install_opener(None)
