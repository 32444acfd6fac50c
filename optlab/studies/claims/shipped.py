"""The claims that ship with OptLab, one file each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.studies.claims import reading
from optlab.studies.claims.claim import Claim

_NAME = re.compile(r"(?P<letter>[KP])0*(?P<number>\d+)-.+")


def files() -> dict[str, Path]:
    """Return the id of each claim and its file, K1, K2, … before P1, P2, …."""
    found = [(_NAME.fullmatch(path.stem), path) for path in paths.claims().glob("*.toml")]
    named = [(match["letter"], int(match["number"]), path) for match, path in found if match]
    return {f"{letter}{number}": path for letter, number, path in sorted(named)}


def claim(identity: str) -> Claim:
    """Return the claim of an id, ``K9`` or ``k9``.

    Raises:
        InvalidInput: there is none, or its file is not valid.
    """
    known = files()
    key = identity.strip().upper()
    if key not in known:
        raise InvalidInput(
            f"'{identity}' is no claim{did_you_mean(key, known)}; claims are: {', '.join(known)}.",
            "claim",
        )
    return reading.load(known[key])


def claims(identities: Iterable[str] = ()) -> list[Claim]:
    """Return claims by their ids, or all.

    Raises:
        InvalidInput: there is none of an id, or its file is not valid.
    """
    return [claim(identity) for identity in (list(identities) or files())]
