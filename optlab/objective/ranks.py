"""Ranks: the processes that train one run together, each on its share of every batch.

What the ranks say to each other are plain tensors (and bytes in tensors), summed by
``torch.distributed``: gloo on CPUs, NCCL on GPUs. Each sum carries a few bits of the first rank's,
so that all ranks learn of a message or of the end between the same two steps.

A run that one process trains alone has the single rank :data:`ALONE`, which says nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta

from optlab.core.errors import RunFailed
from optlab.core.lazy import torch

_MESSAGES, _OVER = 1, 2
"""Bits that a sum carries: the first rank has messages; it has decided that the run is over."""
_DIGEST_BYTES = 32
_PATIENCE = timedelta(days=1)
"""How long ranks wait for each other: one may wait for room on its disk, or be paused.

A rank that has ended is noticed at once, as its connections close.
"""


class RanksParted(RunFailed):
    """Another rank has ended, so nothing can be summed any more."""


class Ranks:
    """The ranks of a run, as one of them sees them; here the only one.

    Attributes:
        rank: number of this one, from 0. size: number of all.
    """

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that owns events, store and instruments."""
        return self.rank == 0

    @property
    def together(self) -> bool:
        """Whether there is anybody to speak to."""
        return False

    def rows(self, examples: int) -> slice:
        """Return this rank's share of so many examples: contiguous, sizes differ by one at most."""
        begin, end = (examples * rank // self.size for rank in (self.rank, self.rank + 1))
        return slice(begin, end)

    def device(self, requested: str) -> str:
        """Return the device to ask for in place of the requested one; the same on all ranks."""
        return requested

    def sum(self, *parts: torch.Tensor) -> list[torch.Tensor]:
        """Return the sums over the ranks of tensors of one type, the same bits on all ranks.

        Args:
            parts: of any shapes ``[…]``, the same on all ranks; the sums have theirs.

        Raises:
            RanksParted: another rank has ended.
        """
        return list(parts)

    def from_first(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the first rank's tensor; those of the others have its shape and type.

        Raises:
            RanksParted: another rank has ended.
        """
        return tensor

    def bytes_from_first(self, data: bytes) -> bytes:
        """Return the first rank's bytes; those of the others are ignored.

        Raises:
            RanksParted: another rank has ended.
        """
        return data

    def different(self, digest: bytes) -> list[int]:
        """Return the ranks whose digest (32 bytes) is not the first rank's.

        Raises:
            RanksParted: another rank has ended.
        """
        return []

    def agreed(self, over: bool) -> bool:  # noqa: FBT001 - a question with one answer for all
        """Return whether the run is over for all ranks.

        With several, it is what the first rank said before the last sum.
        """
        return over


ALONE = Ranks()
"""The only rank of a run that is not shared."""


class JoinedRanks(Ranks):
    """Ranks of a process group that has been joined, with what the launcher's environment says.

    Args:
        waiting: whether messages wait on the first rank; asked there alone.

    Attributes:
        parted: whether a sum has failed because another rank has ended.
    """

    def __init__(self, waiting: Callable[[], bool]) -> None:
        import torch.distributed as group

        self._group = group
        self._waiting = waiting
        self.rank, self.size = group.get_rank(), group.get_world_size()
        self._local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.parted = False
        self._over = self._over_here = False
        self._announced = False

    @property
    def together(self) -> bool:
        return True

    def device(self, requested: str) -> str:
        if requested != "auto":
            return requested
        enough = torch.cuda.is_available() and torch.cuda.device_count() >= self._local_size
        lacking = self.sum(torch.tensor([0.0 if enough else 1.0]))[0]
        return "cpu" if lacking.item() else "auto"

    def sum(self, *parts: torch.Tensor) -> list[torch.Tensor]:
        flag = 0
        if self.first:
            flag = _MESSAGES * self._waiting() + _OVER * self._over_here
        buffer = torch.cat([part.reshape(-1) for part in (*parts, parts[0].new_tensor([flag]))])
        self._communicate(lambda: self._group.all_reduce(buffer))
        carried = int(buffer[-1].item())
        self._over = bool(carried & _OVER)
        self._announced = self._announced or bool(carried & _MESSAGES)
        sums = buffer.split([*(part.numel() for part in parts), 1])
        return [total.view(part.shape) for total, part in zip(sums, parts, strict=False)]

    def from_first(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.contiguous()
        self._communicate(lambda: self._group.broadcast(tensor, 0))
        return tensor

    def bytes_from_first(self, data: bytes) -> bytes:
        length = int(self.from_first(torch.tensor([len(data)])).item())
        content = torch.zeros(length, dtype=torch.uint8)
        if self.first and length:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return self.from_first(content).numpy().tobytes() if length else b""

    def different(self, digest: bytes) -> list[int]:
        table = torch.zeros(self.size, _DIGEST_BYTES, dtype=torch.int64)
        table[self.rank] = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
        self._communicate(lambda: self._group.all_reduce(table))
        return [rank for rank in range(self.size) if not torch.equal(table[rank], table[0])]

    def agreed(self, over: bool) -> bool:  # noqa: FBT001 - as above
        self._over_here = over
        return self._over

    def announced(self) -> bool:
        """Return whether a sum has said, since the last call, that the first rank has messages."""
        said, self._announced = self._announced, False
        return said

    def announce(self) -> None:
        """Let :meth:`announced` say yes; called on all ranks between the same two steps."""
        self._announced = True

    def _communicate(self, collective: Callable[[], object]) -> None:
        try:
            collective()
        except RuntimeError as error:
            self.parted = True
            what = " ".join(str(error).split()).rstrip(".")[:200]
            raise RanksParted(
                "The ranks have lost each other: another one has ended, or the connection is broken. "
                f"The run can be resumed from its last snapshot. (torch.distributed: {what})"
            ) from error


def join(waiting: Callable[[], bool], store: str = "") -> JoinedRanks:
    """Join the process group of the launcher that started this process.

    Args:
        waiting: see :class:`JoinedRanks`.
        store: path of the file by which the ranks of one machine find each other; "" to use the
            address that the launcher gives.

    Raises:
        RunFailed: the ranks do not find each other.
    """
    import torch.distributed as group

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available() and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
        if group.is_nccl_available():
            backend = "cpu:gloo,cuda:nccl"
    # documented by torch, but not exported for type checkers
    file_store = group.FileStore(store, size) if store else None  # type: ignore[attr-defined]
    try:
        with _quiet_standard_output():
            group.init_process_group(
                backend,
                store=file_store,
                rank=rank,
                world_size=size,
                timeout=_PATIENCE,
            )
    except RuntimeError as error:
        what = " ".join(str(error).split())[:200]
        raise RunFailed(f"The ranks do not find each other ({what}).") from error
    return JoinedRanks(waiting)


@contextlib.contextmanager
def _quiet_standard_output() -> Iterator[None]:
    """Drop what is printed inside: gloo says there whom it has met, and the results belong there."""
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def leave(ranks: JoinedRanks) -> None:
    """Leave the process group, after all ranks have come here unless one is lost."""
    import torch.distributed as group

    if not ranks.parted:
        ranks.from_first(torch.zeros(1))
        group.barrier()
    group.destroy_process_group()
