"""Experience replay: batches are drawn from the examples that arrived last."""

from __future__ import annotations

from typing import ClassVar, Literal

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.fields import choice, integer
from optlab.core.lazy import torch


class ReplayBuffer(Batches):
    """Each batch is drawn at random, with replacement, from the latest arrivals.

    Examples arrive one after another, pass after pass; a batch of them before each step. A bounded
    buffer keeps the newest. Drawing from it reduces the correlation of examples that arrive
    together, and more so the larger it is. The content of the buffer follows from the step number,
    so it is not stored.
    """

    name: ClassVar[str] = "replay_buffer"
    label: ClassVar[str] = "Experience replay"
    sort_order: ClassVar[int] = 50
    covers: ClassVar[bool] = False
    rule: ClassVar[tuple[str, ...]] = (r"i \sim U\{t - \min(c, t) + 1, \ldots, t\}",)
    symbols: ClassVar[dict[str, str]] = {
        "t": "arrivals so far",
        "i": "number of the arrival that is drawn",
    }
    source: ClassVar[str] = (
        "Notes, batch and minibatch algorithms: a bounded buffer of experience; L.-J. Lin (1992)."
    )

    capacity: int = integer(
        500,
        "Capacity",
        symbol="c",
        unit="examples",
        ge=1,
        le=10_000_000,
        log=True,
        slider=(1, 10_000),
        help="Number of arrivals that the buffer keeps; each pass counts again.",
        why="Holds several classes of the smaller data sets at once.",
    )
    arrivals: Literal["sorted", "stored"] = choice(
        "sorted",
        "Arrivals",
        help="Order in which examples arrive: sorted by class (the correlated case), or as they "
        "are stored.",
    )

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        n = len(examples)
        size = self.batch_size(n)
        batch = torch.arange(n) // size
        arrived = epoch * n + ((batch + 1) * size).clamp(max=n)
        held = arrived.clamp(max=self.capacity)
        uniform = torch.rand(n, generator=generators(f"batches/{epoch}"), dtype=torch.float64)
        age = torch.minimum((uniform * held).long(), held - 1)
        drawn = (arrived - 1 - age) % n
        return examples.by_target()[drawn] if self.arrivals == "sorted" else drawn

    def expected_order(self, n: int) -> float | None:
        # Draws from a buffer are neither independent nor without replacement.
        return None
