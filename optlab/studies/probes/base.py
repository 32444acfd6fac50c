"""The base of all probes: fields, and a number for each seed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import ClassVar

from optlab.core.component import Component, Section


class Probe(Component):
    """Base of all probes.

    Equal fields and equal seeds give equal numbers.
    """

    kind: ClassVar[str] = "probe"
    section: ClassVar[Section] = Section(
        title="Probe",
        plural="Probes",
        chapter="Demonstrations",
        order=240,
        per_experiment="none",
    )

    @abstractmethod
    def measure(self, seed: int) -> Generator[float, None, float]:
        """Compute the number of a seed.

        Yield the share of the work that is done, from 0 to 1, at least about once a second, so that
        the caller can show it, or stop by closing the generator.

        Args:
            seed: from which all random numbers are drawn.

        Returns:
            the number; infinite where what was asked for diverged, NaN where it does not exist.

        Raises:
            InvalidInput: the values of the fields contradict each other.
        """

    @abstractmethod
    def words(self) -> str:
        """Return what the number is, as a short phrase."""
