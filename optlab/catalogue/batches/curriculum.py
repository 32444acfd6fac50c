"""Curriculum: easy examples first, then gradually the others."""

from __future__ import annotations

import math
from typing import ClassVar, Literal
from weakref import WeakKeyDictionary

from optlab.catalogue.batches.base import Batches, Examples, Generators
from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch

_FIT_STEPS = 200
"""Steps of gradient descent of the softmax regression that rates the difficulty of examples."""


class Curriculum(Batches):
    """Training begins with the easiest examples, and adds the others over several epochs.

    The difficulty of an example is its loss under a linear model that is fitted beforehand: a
    softmax regression for classes, least squares for real values. The available examples are
    shuffled, and an epoch still has n of them, some more than once. After the last epoch of growth
    every epoch is a plain shuffled one. A random order with the same growth separates the effect of
    the order from that of the smaller set.
    """

    name: ClassVar[str] = "curriculum"
    label: ClassVar[str] = "Curriculum"
    sort_order: ClassVar[int] = 60
    covers: ClassVar[bool] = False
    reshuffles: ClassVar[bool] = True
    rule: ClassVar[tuple[str, ...]] = (r"s_e = s_0 + (1 - s_0)\min\left(\frac{e}{E},\ 1\right)",)
    symbols: ClassVar[dict[str, str]] = {
        "e": "epoch",
        "s_e": "share of the sorted examples that is available in epoch e",
    }
    source: ClassVar[str] = "Notes, curriculum learning; Y. Bengio et al. (2009)."

    first: Literal["easy", "random", "hard"] = choice(
        "easy", "First come", help="Which examples are available from the start."
    )
    epochs: int = integer(
        10,
        "Epochs of growth",
        symbol="E",
        unit="epochs",
        ge=1,
        log=True,
        slider=(1, 100),
        help="Epoch from which all examples are available.",
    )
    share: float = number(
        0.2,
        "First share",
        symbol="s₀",
        gt=0.0,
        le=1.0,
        slider=(0.01, 1.0),
        help="Share of the examples that is available in the first epoch.",
    )

    def epoch_order(self, examples: Examples, epoch: int, generators: Generators) -> torch.Tensor:
        n = len(examples)
        share = self.share + (1.0 - self.share) * min(epoch / self.epochs, 1.0)
        count = min(n, max(1, math.ceil(share * n - 1e-9)))
        source = generators(f"batches/{epoch}")
        rounds = [torch.randperm(count, generator=source) for _ in range(-(-n // count))]
        order: torch.Tensor = self._sorted(examples, generators)[torch.cat(rounds)[:n]]
        return order

    def of_examples(self, examples: Examples) -> dict[str, torch.Tensor]:
        return {} if self.first == "random" else {"difficulty": difficulty(examples)}

    def _sorted(self, examples: Examples, generators: Generators) -> torch.Tensor:
        """Return indices ``[n]`` in the order in which examples become available."""
        if self.first == "random":
            return torch.randperm(len(examples), generator=generators("curriculum"))
        return difficulty(examples).argsort(stable=True, descending=self.first == "hard")


def difficulty(examples: Examples) -> torch.Tensor:
    """Return the loss ``[n]`` (float64, CPU) of each example under a linear model fitted to all.

    A pure function of the examples.
    """
    losses = _DIFFICULTIES.get(examples)
    if losses is None:
        with torch.no_grad():
            x = examples.x.cpu().double().flatten(1)
            x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
            y = examples.y.cpu()
            losses = _residuals(x, y.double()) if y.is_floating_point() else _surprise(x, y)
        _DIFFICULTIES[examples] = losses
    return losses


_DIFFICULTIES: WeakKeyDictionary[Examples, torch.Tensor] = WeakKeyDictionary()


def _residuals(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return squared residuals ``[n]`` of least squares."""
    y = y.reshape(len(y), -1)
    # gelsd also works for constant or linearly dependent columns.
    weight = torch.linalg.lstsq(x, y, driver="gelsd").solution
    residuals: torch.Tensor = (y - x @ weight).square().sum(dim=1)
    return residuals


def _surprise(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood ``[n]`` under a softmax regression.

    It is fitted by a fixed number of steps of gradient descent.
    """
    n, classes = len(x), int(y.max()) + 1
    # The Hessian is at most half of X^T X / n, so this rate cannot overshoot.
    rate = 2.0 * n / torch.linalg.matrix_norm(x, 2).square()
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype)
    target = torch.nn.functional.one_hot(y, classes).to(x.dtype)
    for _ in range(_FIT_STEPS):
        weight -= rate * (x.t() @ ((x @ weight).softmax(dim=1) - target)) / n
    surprise: torch.Tensor = torch.nn.functional.cross_entropy(x @ weight, y, reduction="none")
    return surprise
