"""What the store knows of a run, and how runs are named."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np

import optlab
from optlab.core.errors import StoreError
from optlab.store.names import is_owner, is_run_id
from optlab.store.seals import COLUMNS, is_intact

RunStatus = Literal["running", "paused", "finished", "stopped", "diverged", "failed", "interrupted"]
"""``interrupted``: its owner died, or its record broke off; the others as in
:data:`optlab.training.events.Status`.
"""
GOING: tuple[RunStatus, ...] = ("running", "paused")
RESUMABLE: tuple[RunStatus, ...] = ("interrupted", "stopped", "failed")

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters that look like figures."""


@dataclass(frozen=True)
class RunRecord:
    """One stored run.

    Attributes:
        id: unique, and in the order of time. title: for people.
        experiment: what was asked for, as TOML.
        status: see :data:`RunStatus`. created, ended: UTC, ISO 8601; ended is "" while the run has
            no end.
        runner: where it ran, ``thread`` or ``process``. device, device_name: what it computed on.
        versions: of optlab, torch, numpy and python.
        population: id of the first run of its population (of itself where it ran alone); place: its
            row there.
        tracked: names of the followed weights.
        steps, seconds: how far it is, as far as it is stored.
        final, theta_sha256, reason, broken: see :class:`optlab.training.events.RunEnded`; empty
            while it has not ended.
        detail: of a failed run, the traceback.
    """

    id: str
    title: str
    experiment: str
    status: RunStatus
    owner: str
    created: str
    ended: str
    runner: str
    device: str
    device_name: str
    versions: Mapping[str, str]
    population: str
    place: int
    tracked: tuple[str, ...]
    steps: int
    seconds: float
    final: Mapping[str, float | None]
    theta_sha256: str
    reason: str
    broken: str
    detail: str

    @property
    def going(self) -> bool:
        """Whether it is being trained now."""
        return self.status in GOING

    @property
    def resumable(self) -> bool:
        """Whether it can go on where it ended."""
        return self.status in RESUMABLE


FIELDS = COLUMNS["runs"]


def from_row(row: tuple[Any, ...], seal: object) -> RunRecord:
    """Return the record of a row of :data:`FIELDS` and its checksum.

    Raises:
        StoreError: the row holds something that OptLab does not write.
    """
    values = dict(zip(FIELDS.split(", "), row, strict=True))
    try:
        values.update({name: json.loads(values[name]) for name in ("versions", "tracked", "final")})
        odd = next((name for name, fits in _FITS.items() if not fits(values[name])), "")
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"A stored run has a damaged row ({error}).") from error
    if odd:
        raise StoreError(f"A stored run has a damaged row: its {odd} is {str(values[odd])[:80]!r}.")
    if not is_intact(row, seal):
        raise StoreError(
            f"A stored run has a damaged row: {values['id']} does not match its checksum."
        )
    return RunRecord(**{**values, "tracked": tuple(values["tracked"])})


def _is_text(value: object) -> bool:
    # Bytes that are not UTF-8 come as lone surrogates, which cannot be shown.
    return isinstance(value, str) and (
        value.isascii() or value.encode("utf-8", "replace").decode() == value
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def _is_mapping_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(fits(item) for item in value.values())


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "id": is_run_id,
    "title": _is_text,
    "experiment": _is_text,
    "status": lambda value: value in get_args(RunStatus),
    "owner": is_owner,
    "created": _is_time,
    "ended": lambda value: value == "" or _is_time(value),
    "runner": _is_text,
    "device": _is_text,
    "device_name": _is_text,
    "versions": _is_mapping_of(_is_text),
    "population": is_run_id,
    "place": _is_count,
    "tracked": lambda value: isinstance(value, list) and all(_is_text(name) for name in value),
    "steps": _is_count,
    "seconds": lambda value: _is_number(value) and value >= 0.0,
    "final": _is_mapping_of(lambda value: value is None or _is_number(value)),
    "theta_sha256": _is_text,
    "reason": _is_text,
    "broken": _is_text,
    "detail": _is_text,
}
"""Field → whether a value read from the database, JSON being parsed, is one that OptLab writes."""


def interrupted(record: RunRecord, reason: str) -> RunRecord:
    """The same run, as interrupted."""
    return dataclasses.replace(record, status="interrupted", reason=reason)


def now() -> str:
    """The present time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def fresh_id() -> str:
    """A name for a run: the time to the second (UTC), and four characters by chance."""
    return (
        f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
    )


def versions() -> dict[str, str]:
    """Versions of what determines the numbers; torch's is looked up without importing it."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return {
        "optlab": optlab.__version__,
        "torch": torch,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
