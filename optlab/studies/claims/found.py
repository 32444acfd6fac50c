"""What was found of the claims when they were tested before a release.

The file is written by ``tools/found_claims.py`` from the store, never by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.core import paths
from optlab.studies.found_file import read_found


def found() -> dict[str, Mapping[str, Any]]:
    """Return id → what was found, as ``claim --json`` has it; {} where nothing was.

    Raises:
        StoreError: the file is damaged.
    """
    return read_found(paths.claims(), "claim")
