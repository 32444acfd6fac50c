"""Which optimizer of torch a rule continues, how its state is called there, and how it is made."""

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


@dataclass(frozen=True)
class TorchCall:
    """The call that makes an optimizer which takes the same steps as a rule.

    Attributes:
        name: of the class, with its module.
        arguments: argument → value.
        groups: field → its key in the parameter groups, for fields that have one of their own.
    """

    name: str
    arguments: Mapping[str, Any]
    groups: Mapping[str, str]
