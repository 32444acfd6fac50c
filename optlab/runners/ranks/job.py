"""A job that several ranks perform together, as each of them sees it.

The first rank has the job, and the messages to it. Both go to the others as JSON and safetensors:
nothing that comes over the network is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from optlab.core.lazy import numpy as np
from optlab.objective.ranks import JoinedRanks
from optlab.runners.jobs import TrainJob, perform
from optlab.store.controls import from_json, to_json
from optlab.training.control import Inbox, Message
from optlab.training.events import Event
from optlab.training.snapshot import Snapshot

_STATE = "state."


@dataclass
class SharedControls:
    """The messages to the first rank, which all ranks receive between the same two steps.

    Attributes:
        ranks: that receive them. inbox: of the first rank; that of another stays empty.
    """

    ranks: JoinedRanks
    inbox: Inbox = field(default_factory=Inbox)

    def receive(self, step: int) -> list[Message]:
        """Return the messages that the last sum announced; see :class:`~optlab.training.control.Controls`.

        Raises:
            RanksParted: another rank has ended.
        """
        if not self.ranks.announced():
            return []
        here = self.inbox.receive(step) if self.ranks.first else []
        data = self.ranks.bytes_from_first(json.dumps([to_json(one) for one in here]).encode())
        return [from_json(document) for document in json.loads(data)]

    def wait(self, seconds: float) -> None:
        """Wait for a message: nothing is summed meanwhile, so that all ranks ask for one then."""
        if self.ranks.first:
            self.inbox.wait(seconds)
        self.ranks.announce()

    def quiet_until(self, step: int) -> float:
        """Return ``step``: the ranks ask for messages together, at every step."""
        return step


def perform_shared(job: TrainJob | None, controls: SharedControls) -> Iterator[Event]:
    """Perform the first rank's job on this rank, and yield the events.

    Args:
        job: to perform; None on the other ranks.
        controls: with the ranks.

    Raises:
        RanksParted: another rank has ended before the job could be sent.
    """
    received = controls.ranks.bytes_from_first(b"" if job is None else packed(job))
    yield from perform(unpacked(received) if job is None else job, controls, controls.ranks)


def packed(job: TrainJob) -> bytes:
    """Return a job as bytes: the length of a JSON document, the document, and safetensors."""
    from safetensors.numpy import save

    document = json.dumps(
        {
            "experiments": job.experiments,
            "log": [(step, to_json(message)) for step, message in job.log],
            "snapshots": None
            if job.snapshots is None
            else [
                {
                    "step": one.step,
                    "seconds": one.seconds,
                    "values": dict(one.values),
                    "memory": dict(one.memory),
                    "reason": one.reason,
                }
                for one in job.snapshots
            ],
        }
    ).encode()
    tensors = {}
    for run, one in enumerate(job.snapshots or ()):
        tensors[f"{run}/theta"] = one.theta
        tensors |= {f"{run}/{_STATE}{name}": value for name, value in one.state.items()}
    whole = {name: np.array(value, order="C", copy=None) for name, value in tensors.items()}
    return len(document).to_bytes(8, "little") + document + save(whole)


def unpacked(data: bytes) -> TrainJob:
    """Return the job of such bytes, the inverse of :func:`packed`."""
    from safetensors.numpy import load

    end = 8 + int.from_bytes(data[:8], "little")
    document, tensors = json.loads(data[8:end]), load(data[end:])
    snapshots = document["snapshots"]
    if snapshots is not None:
        snapshots = tuple(
            Snapshot(
                theta=tensors[f"{run}/theta"],
                state={
                    name.removeprefix(f"{run}/{_STATE}"): value
                    for name, value in tensors.items()
                    if name.startswith(f"{run}/{_STATE}")
                },
                **one,
            )
            for run, one in enumerate(snapshots)
        )
    return TrainJob(
        tuple(document["experiments"]),
        snapshots,
        tuple((step, from_json(message)) for step, message in document["log"]),
    )
