"""Text of a Markov chain: characters whose entropy rate is known, in any number."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import flag, integer, number

_CHARACTERS = " etaoinshrdlcumwfgypbvkjxqz"


class MarkovText(Dataset):
    """Pieces of a text in which each character depends on the one before; the next is to be named.

    No model has a lower expected cross-entropy than the entropy rate of the chain, nor a lower error
    than its most probable characters have; both are exact. The pieces are independent draws of the
    chain in equilibrium, so that a model sees as much text as there are examples.
    """

    name: ClassVar[str] = "markov_text"
    label: ClassVar[str] = "Text of a Markov chain"
    short: ClassVar[str] = "Markov text"
    group: ClassVar[str] = "Generated, sequences"
    sort_order: ClassVar[int] = 72
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "concentration")
    rule: ClassVar[tuple[str, ...]] = (
        r"p(c' \mid c) = P_{c c'},\quad P_c \sim \mathrm{Dirichlet}(\beta)",
        r"H = -\sum_c \pi_c \sum_{c'} P_{c c'} \ln P_{c c'},\quad \pi P = \pi",
    )
    symbols: ClassVar[dict[str, str]] = {
        "c, c'": "a character and the next",
        "P": "transition probabilities, fixed by the data seed",
        "π": "equilibrium of the chain",
        "H": "entropy rate, in nats a character: the lowest expected loss",
    }
    source: ClassVar[str] = (
        "C. Shannon (1948), A mathematical theory of communication, sections 4 to 7."
    )

    size: int = integer(
        50_000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(1000, 200_000),
        help="Number of pieces drawn.",
    )
    characters: int = integer(
        27,
        "Characters",
        ge=2,
        le=len(_CHARACTERS),
        slider=(2, len(_CHARACTERS)),
        help="Number of different characters, one class each.",
    )
    window: int = integer(
        4,
        "Window",
        ge=1,
        le=64,
        slider=(1, 16),
        unit="characters",
        help="Characters that are shown before the one to name; the last of them decides.",
    )
    concentration: float = number(
        0.1,
        "Concentration",
        symbol="β",
        gt=0.0,
        log=True,
        slider=(0.01, 10.0),
        help="Of the Dirichlet distribution of each character's successors: a small value makes text "
        "that is easily predicted, a large one makes all successors alike.",
    )
    standardize: bool = flag(
        False,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Off: the inputs are one-hot.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.window, self.characters), self.characters, "classes")

    def transitions(self) -> NDArray[np.float64]:
        """Return the probabilities of the next character, ``[characters, characters]``."""
        chain = self.rng("transitions").dirichlet(
            np.full(self.characters, self.concentration), self.characters
        )
        # A little of every successor, so that the chain forgets where it began.
        mixed: NDArray[np.float64] = 0.999 * chain + 0.001 / self.characters
        return mixed

    def equilibrium(self) -> NDArray[np.float64]:
        """Return the share of each character in the text, ``[characters]``."""
        return _equilibrium(self)

    def entropy_rate(self) -> float:
        """Return the entropy of the next character in nats: the lowest expected cross-entropy."""
        chain = self.transitions()
        return float(-(self.equilibrium() @ (chain * np.log(chain)).sum(axis=1)))

    def bayes_error(self) -> float:
        """Return the error of who always names the most probable next character."""
        return float(1.0 - self.equilibrium() @ self.transitions().max(axis=1))

    def derived_facts(self) -> tuple[str, ...]:
        return (
            f"the entropy rate is {self.entropy_rate():.4f} nats a character and the lowest error is "
            f"{self.bayes_error():.4f}.",
        )

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        thresholds = self.transitions().cumsum(axis=1)[:, :-1]
        begins = self.equilibrium().cumsum()[:-1]
        text = np.empty((n, self.window + 1), dtype=np.int64)
        text[:, 0] = np.searchsorted(begins, rng.random(n), side="right")
        for place in range(self.window):
            drawn = rng.random((n, 1))
            text[:, place + 1] = (drawn >= thresholds[text[:, place]]).sum(axis=1)
        return np.eye(self.characters)[text[:, :-1]], text[:, -1]

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        last = x[:, -1].argmax(axis=1)
        probabilities: NDArray[np.float64] = self.transitions()[last]
        return probabilities

    def class_names(self) -> list[str]:
        return ["space" if one == " " else one for one in _CHARACTERS[: self.characters]]


@functools.lru_cache(maxsize=8)
def _equilibrium(text: MarkovText) -> NDArray[np.float64]:
    chain = text.transitions()
    equations = np.vstack([chain.T - np.eye(len(chain)), np.ones(len(chain))])
    shares: NDArray[np.float64] = np.linalg.lstsq(
        equations, np.append(np.zeros(len(chain)), 1.0), rcond=None
    )[0]
    return shares
