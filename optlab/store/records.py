"""What the store knows of a run, and how runs are named."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

import optlab

RunStatus = Literal["running", "paused", "finished", "stopped", "diverged", "failed", "interrupted"]
"""``interrupted``: its owner died, or its record broke off; the others as in :data:`optlab.engine.events.Status`."""
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
        status: see :data:`RunStatus`. created, ended: UTC, ISO 8601; ended is "" while the run has no end.
        runner: where it ran, ``thread`` or ``process``. device, device_name: what it computed on.
        versions: of optlab, torch, numpy and python.
        population: id of the first run of its population (of itself where it ran alone); place: its row there.
        tracked: names of the followed weights.
        steps, seconds: how far it is, as far as it is stored.
        final, theta_sha256, reason, broken: see :class:`optlab.engine.events.RunEnded`; empty while it has not ended.
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


FIELDS = (
    "id, title, experiment, status, owner, created, ended, runner, device, device_name, versions, population, place, tracked, "
    "steps, seconds, final, theta_sha256, reason, broken, detail"
)


def from_row(row: tuple[Any, ...]) -> RunRecord:
    """The record of a row of :data:`FIELDS`."""
    values = dict(zip(FIELDS.split(", "), row, strict=True))
    values.update(versions=json.loads(values["versions"]), tracked=tuple(json.loads(values["tracked"])), final=json.loads(values["final"]))
    return RunRecord(**values)


def interrupted(record: RunRecord, reason: str) -> RunRecord:
    """The same run, as interrupted."""
    return dataclasses.replace(record, status="interrupted", reason=reason)


def now() -> str:
    """The present time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def fresh_id() -> str:
    """A name for a run: the time to the second (UTC), and four characters by chance."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"


def versions() -> dict[str, str]:
    """Versions of what determines the numbers; torch's is looked up without importing it."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return {"optlab": optlab.__version__, "torch": torch, "numpy": np.__version__, "python": platform.python_version()}
