"""Paths of weights on disk: what the window draws of a run's way through parameter space.

A run has one file beside its snapshots, which is replaced as the path grows. It serves drawing
alone: a file that is lost or damaged counts as none, and nothing else depends on it.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

from optlab.core.lazy import numpy as np
from optlab.store import snapshots
from optlab.training.events import WeightPath

FILE = "weights.path"
"""Name of the file. Its ending is not that of snapshots, which are removed without an entry."""
_MAX_BYTES = 4 << 20
"""Larger files are not read: a path has at most a few hundred points."""
_ARRAYS = ("steps", "plane", "explained", "off_plane", "values")
_MOVED = "moved"
_DIGEST = 32
"""Bytes of the SHA-256 with which the file begins."""


def write(home: Path, run: str, path: WeightPath) -> None:
    """Write the path of a run in place of the one before.

    Args:
        home: the OptLab folder.
        run: id of the run.
        path: to write.

    Raises:
        OSError: it cannot be written.
        StoreError: the folder of the run is a link.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(getattr(path, name)) for name in _ARRAYS}
    data = save({**arrays, _MOVED: np.frombuffer(json.dumps(path.moved).encode(), dtype=np.uint8)})
    snapshots.write_beside(home, run, FILE, hashlib.sha256(data).digest() + data)


def remove(home: Path, run: str) -> None:
    """Remove the path of a run, if there is one: the run takes another course.

    Raises:
        OSError: it cannot be removed.
        StoreError: ``run`` is not a valid id.
    """
    (snapshots.folder(home, run) / FILE).unlink(missing_ok=True)


def read(home: Path, run: str, steps: int) -> WeightPath | None:
    """Return the path of a run, None where there is none that is sound.

    Args:
        home: the OptLab folder.
        run: id of the run.
        steps: that the run has taken; a path that leads farther is of another course.

    Raises:
        StoreError: ``run`` is not a valid id.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = snapshots.folder(home, run) / FILE
    try:
        # A device or a pipe in a store from elsewhere would be read without end.
        about = file.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_BYTES:
            return None
        data = file.read_bytes()
    except OSError:
        return None
    digest, data = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        arrays = load(data)
        moved = json.loads(arrays.pop(_MOVED).tobytes())
        path = WeightPath(run=0, moved=tuple(moved), **arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return path if _fits(path) and path.steps[-1] <= steps else None


def _fits(path: WeightPath) -> bool:
    """Return whether the parts of a path belong together, as plots rely on."""
    points, weights = len(path.steps), len(path.moved)
    shapes = {
        "steps": (points,),
        "plane": (points, 2),
        "explained": (2,),
        "off_plane": (points,),
        "values": (points, weights),
    }
    return (
        points > 0
        and path.steps.dtype == np.int64
        and all(getattr(path, name).shape == shape for name, shape in shapes.items())
        and bool((np.diff(path.steps) > 0).all())
        and all(isinstance(name, str) for name in path.moved)
    )
