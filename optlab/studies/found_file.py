"""Files of what was found of shipped studies and claims, which tools write and nobody types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core.errors import StoreError

NAME = "found.json"
"""Name of such a file, beside those of what was conducted."""


def read_found(folder: Path, key: str) -> dict[str, Mapping[str, Any]]:
    """Return what was found by the value that each document has at ``key``; {} without a file.

    Raises:
        StoreError: the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))
        return {one[key]: one for one in documents}
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is damaged ({error}); install OptLab again.") from error
