"""What a data set is: fields, a shape that is known before loading, and a way to load.

Splitting and standardizing happen here, once, for all: by ``seed``, so that runs with different
seeds of their own still see the same examples.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.core.component import Component, Section
from optlab.core.data import Data, DataShape, Part, split_indices, standardized, unit_ranged
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, integer, number


class Dataset(Component):
    """Base of all data sets."""

    kind: ClassVar[str] = "dataset"
    section: ClassVar[Section] = Section(
        title="Data",
        plural="Data sets",
        chapter="What is optimized",
        order=10,
        form_order=10,
        shared=True,
        opened=True,
    )
    endless: ClassVar[bool] = False
    """Whether the distribution is known, so that fresh examples can be drawn from it for ever
    (:meth:`draw`).
    """

    validation: float = number(
        0.2,
        "Validation share",
        ge=0.0,
        le=0.9,
        help="Share of all examples kept for choosing and stopping.",
    )
    test: float = number(
        0.2, "Test share", ge=0.0, le=0.9, help="Share of all examples that training never sees."
    )
    standardize: bool = flag(
        True,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Inputs of very different sizes make the Hessian ill-conditioned before training begins.",
    )
    unit_range: bool = flag(
        False,
        "Scale to [0, 1]",
        help="In place of standardizing, shift and scale every input so that 0 is its smallest and 1 its largest value on the training part.",
        why="Off, since most models learn faster from standardized inputs; Boltzmann machines take inputs for probabilities and need it.",
    )
    seed: int = integer(
        0,
        "Data seed",
        ge=0,
        le=2**63 - 1,
        help="Seed of the split (and of the draw, for generators). Separate from the run's seed, so that runs which differ in seed "
        "share their data.",
    )

    @abstractmethod
    def shape(self) -> DataShape:
        """Shape of the data, known without loading it where the source allows."""

    @abstractmethod
    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        """All examples: ``x`` ``[n, *inputs]``, ``y`` ``[n]`` classes or ``[n, outputs]`` values.
        ``rng`` is for generators.
        """

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        """``n`` independent examples of the distribution, raw: ``x`` ``[n, *inputs]`` and ``y`` as
        in :meth:`examples`.

        Raises:
            InvalidInput: the data set is not ``endless``.
        """
        raise InvalidInput(
            f"dataset.name is {self.name!r}, whose distribution is not known, so no fresh examples can be drawn from it.",
            "dataset.name",
        )

    def fresh(
        self,
        rng: np.random.Generator,
        n: int,
        offset: NDArray[np.float64] | float = 0.0,
        scale: NDArray[np.float64] | float = 1.0,
    ) -> Part:
        """``n`` fresh examples, in the units that training sees where ``offset`` and ``scale``
        ``[*inputs]`` are those of the loaded data.

        Raises:
            InvalidInput: the data set is not ``endless``.
        """
        x, y = self.draw(rng, n)
        return Part((x - offset) / scale, y)

    def test_examples(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]] | None:
        """Examples of a test part that the source keeps apart, as :meth:`examples`; None where the
        test share of all examples is drawn.
        """
        return None

    def input_names(self) -> Sequence[str]:
        """A name for each input value, or an empty sequence."""
        return ()

    def class_names(self) -> Sequence[str]:
        """A name for each class, or an empty sequence."""
        return ()

    def short_name(self) -> str:
        """Return what a run on these data is named after: the name of the data set, or that of the
        file where the data are the user's own.
        """
        return self.name

    def load(self) -> Data:
        """The data, split and standardized.

        Raises:
            InvalidInput: the shares leave no training example.
        """
        x, y = self.examples(self.rng("examples"))
        apart = self.test_examples()
        by_class = y.astype(np.int64) if self.shape().task == "classes" else None
        rows = split_indices(
            len(x),
            self.validation,
            self.test if apart is None else 0.0,
            self.rng("split"),
            by_class,
        )
        if len(rows[0]) == 0:
            raise InvalidInput(
                f"dataset.validation ({self.validation:g}) and dataset.test ({self.test:g}) leave no example of {len(x)} for "
                "training; they must add up to less than 1.",
                "dataset.validation",
            )
        offset, scale = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
        if self.unit_range:
            x, offset, scale = unit_ranged(x, rows[0])
        elif self.standardize:
            x, offset, scale = standardized(x, rows[0])
        targets = y if by_class is None else by_class
        training, validation, test = (
            Part(np.ascontiguousarray(x[r]), np.ascontiguousarray(targets[r])) for r in rows
        )
        if apart is not None:
            test = Part((apart[0] - offset) / scale, apart[1])
        return Data(
            self.shape(),
            training,
            validation,
            test,
            input_names=tuple(self.input_names()),
            class_names=tuple(self.class_names()),
            offset=offset,
            scale=scale,
        )

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that changing one draw leaves the others as
        they were.
        """
        digest = hashlib.sha256(f"{self.seed}:{purpose}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
