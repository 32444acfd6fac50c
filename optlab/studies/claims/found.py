"""What was found of the claims when they were tested before a release.

The file is written by ``tools/found_claims.py`` from the store, never by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optlab.core import paths
from optlab.core.errors import StoreError

NAME = "found.json"
"""Name of the file, beside those of the claims."""


def found() -> dict[str, Mapping[str, Any]]:
    """Return id → what was found, as ``claim --json`` has it; {} where nothing was.

    Raises:
        StoreError: the file is damaged.
    """
    path = paths.claims() / NAME
    if not path.is_file():
        return {}
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))
        return {one["claim"]: one for one in documents}
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is damaged ({error}); install OptLab again.") from error
