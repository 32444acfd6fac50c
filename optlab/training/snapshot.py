"""A snapshot: everything of one run that training depends on, at one step.

Rewinding, forking and resuming are copies of this. Batch order and start are pure functions of the
seed, so no generator state belongs to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSTRUMENT = "instrument."
"""How the names begin of what instruments have a snapshot's memory hold."""
SCHEDULE = "schedule."
"""Prefix of the names under which a snapshot's memory holds what schedules remember."""
NORM_AT_START = "start.gradient_norm"
"""Name under which a snapshot's memory holds the norm of the full gradient before the first step.
"""


@dataclass(frozen=True)
class Snapshot:
    """State of one run between two steps.

    Attributes:
        step: number of steps taken.
        seconds: training time so far.
        theta: parameters ``[P]`` in the precision of the run.
        state: the optimizer's state, name → array (without the run axis).
        values: fields that were changed while the run went, path → value (``{"optimizer.lr":
            0.02}``).
        memory: what the stopping rule remembers, under names that begin with ``schedule.`` what the
            schedule does, with ``instrument.`` instruments, and the norm of the full gradient at
            the start (:data:`NORM_AT_START`).
        reason: why it was taken: ``start``, ``checkpoint``, ``asked``, ``paused``, ``last_finite``,
            ``end``.
    """

    step: int
    seconds: float
    theta: NDArray[Any]
    state: Mapping[str, NDArray[Any]]
    values: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    reason: str = "checkpoint"

    @property
    def theta_sha256(self) -> str:
        """See :func:`theta_sha256`."""
        return theta_sha256(self.theta)


def theta_sha256(theta: NDArray[Any]) -> str:
    """SHA-256 (hexadecimal) of parameters ``[P]`` as little-endian bytes: two runs agree bit for
    bit if and only if these do.
    """
    return hashlib.sha256(
        np.ascontiguousarray(theta, dtype=theta.dtype.newbyteorder("<")).tobytes()
    ).hexdigest()
