"""What a data set is: fields, a shape that is known before loading, and a way to load.

The base class splits and standardizes all data sets by their data seed, so that runs with different
seeds still share the same examples.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.core.component import Component, Section
from optlab.core.data import (
    Data,
    DataShape,
    Part,
    apply_by_columns,
    filled,
    split_indices,
    standardized,
    unit_ranged,
)
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, integer, number

if TYPE_CHECKING:
    from optlab.outside.datafiles.table_report import TableReport


class Dataset(Component):
    """Base of all data sets."""

    kind: ClassVar[str] = "dataset"
    section: ClassVar[Section] = Section(
        title="Data",
        plural="Data sets",
        chapter="What is optimized",
        order=10,
        form_order=10,
        opened=True,
    )
    endless: ClassVar[bool] = False
    """Whether the distribution is known, so that :meth:`draw` can draw any number of examples."""

    value_fields: ClassVar[tuple[str, ...]] = ("seed", "standardize", "unit_range")
    """Fields that change the values alone, neither shapes nor the number of examples of a part.

    Runs that differ in no other field of their data can be trained together.
    """

    validation: float = number(
        0.2,
        "Validation share",
        ge=0.0,
        le=0.9,
        help="Share of all examples held out for model selection and early stopping.",
    )
    test: float = number(
        0.2,
        "Test share",
        ge=0.0,
        le=0.9,
        help="Share of all examples held out for the final test.",
    )
    standardize: bool = flag(
        True,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Inputs on very different scales make the Hessian ill-conditioned from the start.",
    )
    unit_range: bool = flag(
        False,
        "Scale to [0, 1]",
        help="Instead of standardizing, shift and scale every input to the range 0 to 1 on the "
        "training part.",
        why="Off, since most models learn faster from standardized inputs; Boltzmann machines need "
        "it, since they treat inputs as probabilities.",
    )
    seed: int = integer(
        0,
        "Data seed",
        ge=0,
        le=2**63 - 1,
        help="Seed of the split, and of the examples of generated data sets. Independent of the "
        "run's seed, so that runs with different seeds share their data.",
    )

    @abstractmethod
    def shape(self) -> DataShape:
        """Return the shape of the data, without loading them where the source allows."""

    @abstractmethod
    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        """Return all examples.

        Args:
            rng: source of random numbers, for generated data sets.

        Returns:
            Inputs ``[n, *inputs]``, and classes ``[n]`` or values ``[n, outputs]``. A missing input
            is nan; :meth:`load` fills it from the training part.
        """

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        """Draw ``n`` independent examples of the distribution, not standardized.

        Returns:
            Inputs ``[n, *inputs]``, and targets as in :meth:`examples`.

        Raises:
            InvalidInput: the data set is not ``endless``.
        """
        raise InvalidInput(
            f"dataset.name is {self.name!r}, whose distribution is not known, so no fresh examples "
            "can be drawn from it.",
            "dataset.name",
        )

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the expected target at inputs ``x`` ``[n, *inputs]``, not standardized.

        No prediction has a lower risk than what a loss makes of it.

        Returns:
            Values or probabilities of the classes, ``[n, outputs]``; None where it is not known.
        """
        return None

    def fresh(
        self,
        rng: np.random.Generator,
        n: int,
        offset: NDArray[np.float64] | float = 0.0,
        scale: NDArray[np.float64] | float = 1.0,
    ) -> Part:
        """Draw ``n`` fresh examples, shifted and scaled.

        Args:
            rng: source of random numbers.
            n: number of examples.
            offset: subtracted from the inputs, ``[*inputs]``; that of the loaded data gives the
                units of the training set.
            scale: divides the inputs, ``[*inputs]``.

        Raises:
            InvalidInput: the data set is not ``endless``.
        """
        x, y = self.draw(rng, n)
        return Part((x - offset) / scale, y)

    def fields_of_values(self) -> tuple[str, ...]:
        """Return :attr:`value_fields`, without those that change shapes beside the other fields."""
        return self.value_fields

    def prepare(self) -> Iterator[float]:
        """Read what takes long before :meth:`load`, and yield now and then the share that was read.

        A caller that stops before the end has read nothing.

        Raises:
            InvalidInput: what is read cannot be used.
        """
        yield from ()

    def test_examples(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]] | None:
        """Return the examples of a separate test part, where the source has one.

        Returns:
            Inputs ``[n, *inputs]`` and targets as in :meth:`examples`; None where the test part is
            the test share of all examples.
        """
        return None

    def loading(self) -> tuple[str, ...]:
        """Return lines of source that load the examples ``x`` and ``y`` from a package.

        For scripts; () where no package has them. The result is compared with :meth:`examples`.
        """
        return ()

    def input_names(self) -> Sequence[str]:
        """Return a name for each input value, or an empty sequence."""
        return ()

    def class_names(self) -> Sequence[str]:
        """Return a name for each class, or an empty sequence."""
        return ()

    def table_report(self, data: Data) -> TableReport | None:
        """Return what becomes of the columns of a table; None where the data are no table.

        Args:
            data: as :meth:`load` returned them.
        """
        return None

    def short_name(self) -> str:
        """Return the name of the data set, or of the user's file, for the names of runs."""
        return self.short_label()

    def load(self) -> Data:
        """Load the data, split and standardized.

        Raises:
            InvalidInput: the shares leave no training example.
        """
        x, y = self.examples(self.rng("examples"))
        separate_test = self.test_examples()
        classes = y.astype(np.int64) if self.shape().task == "classes" else None
        rows = self.split(len(x), classes)
        inputs = self.inputs(x, rows)
        del x
        offset, scale = self._scale(inputs)
        targets = y if classes is None else classes
        training, validation, test = (
            Part(values, np.ascontiguousarray(targets[r]))
            for values, r in zip(inputs, rows, strict=True)
        )
        if separate_test is not None:
            test = Part((separate_test[0] - offset) / scale, separate_test[1])
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

    def split(
        self, n: int, classes: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the training, validation and test parts of ``n`` examples.

        Args:
            n: number of examples.
            classes: class of each, ``[n]``; None for a regression.

        Raises:
            InvalidInput: the shares leave no training example.
        """
        test = self.test if self.test_examples() is None else 0.0
        rows = split_indices(n, self.validation, test, self.rng("split"), classes)
        if len(rows[0]) == 0:
            raise InvalidInput(
                f"dataset.validation ({self.validation:g}) and dataset.test ({self.test:g}) leave "
                f"no example of {n} for training; they must add up to less than 1.",
                "dataset.validation",
            )
        return rows

    def inputs(
        self, x: NDArray[np.float64], rows: Sequence[NDArray[np.int64]]
    ) -> list[NDArray[np.float64]]:
        """Return the inputs of each part, not yet scaled, with missing values filled.

        What is computed from data is computed from the training part alone.

        Args:
            x: as in :meth:`examples`. rows: of the parts; the training part is first.

        Returns:
            Arrays ``[len(rows[i]), *inputs]`` that nothing else holds.
        """
        parts = [np.ascontiguousarray(x[r]) for r in rows]
        if any(np.isnan(part).any() for part in parts):
            apply_by_columns(parts, lambda values, training: (filled(values, training), None, None))
        return parts

    def unscaled(self) -> NDArray[np.bool_] | None:
        """Return which input values are never scaled, ``[inputs]``; None where all are."""
        return None

    def _scale(
        self, parts: Sequence[NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale the inputs of the parts, in place, by the training part, the first one.

        Returns:
            Offset and scale, ``[*inputs]``.
        """
        rule = unit_ranged if self.unit_range else standardized if self.standardize else None
        if rule is None:
            return np.zeros(parts[0].shape[1:]), np.ones(parts[0].shape[1:])
        return apply_by_columns(parts, rule, self.unscaled())

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a separate generator for each purpose, so that no draw affects another."""
        digest = hashlib.sha256(f"{self.seed}:{purpose}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
