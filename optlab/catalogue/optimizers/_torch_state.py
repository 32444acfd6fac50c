"""Which optimizer of torch a rule continues, and how its state is called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TorchState:
    """The optimizer of torch whose state a rule can continue.

    Attributes:
        optimizer: name of the class in ``torch.optim``.
        tensors: entry of the rule's state → entry of torch's.
        arguments: argument of the rule → argument of torch, where the names differ.
        values: argument of the rule → the value with which it computes torch's steps.
        requires: argument of torch → the only value that the rule can continue.
    """

    optimizer: str
    tensors: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    requires: Mapping[str, Any] = field(default_factory=dict)
