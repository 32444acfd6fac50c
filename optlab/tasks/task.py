"""A question: work for a worker that changes nothing and is answered, by one value or by better and
better ones.

Questions are plain frozen dataclasses, so that they cross to another process as they are; so do
their answers, which hold arrays of NumPy and no tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from optlab.training.control import Controls


class Task(ABC):
    """Base of all questions."""

    @abstractmethod
    def run(self, controls: Controls) -> Iterator[Any]:
        """The answers, the last of them whole. What takes long looks into ``controls`` now and
        then, and ends early when it is told to stop.

        Raises:
            OptLabError: it cannot be answered; the message says why.
        """
