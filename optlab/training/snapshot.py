"""A snapshot: everything of one run that training depends on, at one step.

Rewinding, forking and resuming are copies of a snapshot. Batch order and start are pure functions
of the seed, so it holds no generator state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


INSTRUMENT = "instrument."
"""Prefix of the names under which a snapshot's memory holds values of instruments."""
SCHEDULE = "schedule."
"""Prefix of the names under which a snapshot's memory holds what schedules remember."""
NORM_AT_START = "start.gradient_norm"
"""Name of the full gradient's norm before the first step in a snapshot's memory."""

CLIPPED = "clipped.sum"
"""Name of the sum over steps of the share of clipped components in a snapshot's memory."""

GRADIENTS = "gradients.count"
"""Name of the number of gradients evaluated so far in a snapshot's memory."""

BATCHES = "batches."
"""Prefix of the names under which a snapshot's memory holds the place at which the present batch
size began: ``step``, ``epoch`` and ``offset`` (:class:`optlab.training.batches.Segment`).
"""

BEGUN = "begun."
"""Prefix of the names under which a snapshot's memory holds the steps at which its state began:
``optimizer`` and ``averaging`` (:class:`optlab.training.groups.Begun`).
"""

FORK = "fork"
"""Reason of a snapshot that begins a fork; what its state lacks begins anew."""

FIXED_REASONS = frozenset({"start", "asked", "changed", "last_finite", "end"})
"""Reasons for which a snapshot is kept while there are others to remove."""


@dataclass(frozen=True)
class Snapshot:
    """The state of one run between two steps.

    Attributes:
        step: number of steps taken.
        seconds: training time so far.
        theta: parameters ``[P]`` in the precision of the run.
        state: the optimizer's state, name → array (without the run axis).
        values: fields that were changed during the run, path → value (``{"optimizer.lr": 0.02}``).
        memory: what the stopping rule remembers; under names that begin with ``schedule.``, what
            the schedule does; with ``instrument.``, instruments; the norm of the full gradient at
            the start (:data:`NORM_AT_START`); how much was clipped (:data:`CLIPPED`); how many
            gradients were evaluated (:data:`GRADIENTS`); and, where they are not those of step 0,
            where the batches and the state began (:data:`BATCHES`, :data:`BEGUN`).
        reason: why it was taken: ``start``, ``checkpoint``, ``asked``, ``paused``, ``changed`` (a
            field, after which the run takes another course), ``last_finite``, ``end``; or
            :data:`FORK`.
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
    """Return the SHA-256 (hexadecimal) of parameters ``[P]`` as little-endian bytes.

    Two runs agree bit for bit if and only if their hashes are equal.
    """
    return hashlib.sha256(
        np.ascontiguousarray(theta, dtype=theta.dtype.newbyteorder("<")).tobytes()
    ).hexdigest()
