"""Names from the database that become parts of paths.

A database can come from anywhere, so its names are checked before they are used.
"""

from __future__ import annotations

import re

from optlab.core.errors import StoreError

_RUN = re.compile(
    # Not one that Windows reserves for a device.
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[0-9a-z][0-9a-z_-]{0,63}",
    re.ASCII | re.IGNORECASE,
)
STUDY = "study-"
"""How the ids of studies begin."""
_OWNER = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SNAPSHOT = re.compile(r"[0-9A-Za-z_-]{1,100}\.safetensors", re.ASCII)


def is_run_id(name: object) -> bool:
    """Return whether ``name`` can be the id of a run: letters, digits, ``-`` and ``_``."""
    return isinstance(name, str) and _RUN.fullmatch(name) is not None


def is_study_id(name: object) -> bool:
    """Return whether ``name`` can be the id of a study, which cannot be taken for that of a run."""
    return is_run_id(name) and str(name).startswith(STUDY)


def run_id(name: object) -> str:
    """Return ``name`` as the id of a run, which is safe as part of a path.

    Raises:
        StoreError: it cannot be one.
    """
    if isinstance(name, str) and is_run_id(name):
        return name
    raise StoreError(
        f"{str(name)[:80]!r} cannot be the id of a run, which consists of letters, digits, "
        "'-' and '_'."
    )


def is_owner(name: object) -> bool:
    """Return whether ``name`` can be the name of an owner's lock."""
    return isinstance(name, str) and _OWNER.fullmatch(name) is not None


def is_snapshot_file(name: object) -> bool:
    """Return whether ``name`` can be the name of a snapshot's file."""
    return isinstance(name, str) and _SNAPSHOT.fullmatch(name) is not None
