"""No continuation: training on the objective itself from the first step."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.continuation.base import Continuation


class NoContinuation(Continuation):
    """The objective is minimized without blur."""

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    active: ClassVar[bool] = False

    def width(self, step: int) -> float:
        return 0.0

    def draws(self) -> int:
        return 1
