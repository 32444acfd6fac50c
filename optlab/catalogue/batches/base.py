"""What a sampling order is: the examples of an epoch as a pure function of seed and epoch.

An order has no state, so the batch of any step can be computed without those before it: resuming,
replaying and forking need no generator state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section
from optlab.core.fields import integer

if TYPE_CHECKING:
    import torch

Generators = Callable[[str], "torch.Generator"]
"""Purpose → a fresh generator of the run's seed."""


@dataclass(frozen=True, eq=False)
class Examples:
    """The training set, on the device of the run.

    Two are equal only if they are the same object, so that results can be cached for them.

    Attributes:
        x: inputs ``[n, *inputs]``.
        y: class numbers ``[n]`` or values ``[n, outputs]``.
    """

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    def by_target(self) -> torch.Tensor:
        """Return indices (int64, ``[n]``, CPU) sorted by class, or by the first target value.

        Ties keep the order in which they are stored.
        """
        y = self.y.cpu()
        return (y if y.dim() == 1 else y[:, 0]).argsort(stable=True)


class Batches(Component):
    """Base of all sampling orders."""

    kind: ClassVar[str] = "batches"
    section: ClassVar[Section] = Section(
        title="Batches",
        plural="Sampling orders",
        chapter="Batches",
        order=90,
        form_order=80,
        default="shuffled",
        in_strip=1,
    )
    covers: ClassVar[bool] = True
    """Whether each epoch contains every example exactly once."""
    reshuffles: ClassVar[bool] = False
    """Whether epochs contain every example once in a new random order each, at least in the end."""
    streams: ClassVar[bool] = False
    """Whether each epoch has fresh examples of the distribution instead of the stored ones."""

    size: int = integer(
        32,
        "Batch size",
        symbol="m",
        unit="examples",
        ge=0,
        le=10_000_000,
        log=True,
        slider=(1, 1024),
        live=True,
        help="Examples per step; 0 for the entire training set. Unless it divides the size of the "
        "set, the last batch of an epoch is smaller.",
        why="Small enough for noise that regularizes, large enough to use the hardware well; "
        "powers "
        "of two from 16 to 256 are common.",
    )

    @abstractmethod
    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        """Return the indices (int64, ``[n]``, CPU) of the examples of an epoch, in order.

        Args:
            examples: the training set, n examples.
            epoch: 0, 1, ….
            generators: named generators of the run's seed.
        """

    def of_examples(self, examples: Examples) -> dict[str, torch.Tensor]:
        """Return what the order knows of each example, by name: tensors ``[n]``.

        It is what a script that repeats a run gets instead of the code that computes it.
        """
        return {}

    def batch_size(self, n: int) -> int:
        """Return the number of examples in a full batch of a training set of ``n``."""
        return min(self.size, n) if self.size > 0 else n

    def steps_per_epoch(self, n: int) -> int:
        """Return the number of steps in a pass through ``n`` examples, rounded up."""
        return -(-n // self.batch_size(n))

    def expected_order(self, n: int) -> float | None:
        """Return the order in which the excess error falls with the number of steps.

        It is that of stochastic gradients on a strongly convex objective of ``n`` stored examples
        with a rate proportional to 1/k (M. Gürbüzbalaban et al., *Why random reshuffling beats
        stochastic gradient descent*, 2021): −1 for independent draws; −2 where each epoch contains
        every example once, in batches of one size, so that the errors within an epoch cancel. None
        where there is no noise (one batch an epoch), or the order leads elsewhere.
        """
        m = self.batch_size(n)
        if not (self.covers or self.reshuffles):
            return -1.0
        if m >= n:
            return None
        # In a smaller last batch an example counts for more: which ones is either drawn anew, which
        # is noise, or always the same, which leads elsewhere.
        return -2.0 if n % m == 0 else -1.0 if self.reshuffles else None
