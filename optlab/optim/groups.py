"""Parameter groups of optimizers without a learning rate, which no scheduler can drive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from optlab.catalogue.optimizers.base import Optimizer as Rule

_RATES = frozenset({"lr", "initial_lr", "max_lr", "min_lr"})
"""Entries of a parameter group in which torch's schedulers read and write learning rates."""


class RatelessGroup(dict[str, Any]):
    """A parameter group that has no learning rate and refuses to get one.

    torch's schedulers read ``group["lr"]`` or, some of them, write it first; the rule would ignore
    what they write.

    Args:
        values: entries of the group.
        owner: name of the optimizer, for messages.
    """

    owner = "this optimizer"

    def __init__(self, values: Mapping[str, Any], owner: str) -> None:
        super().__init__(values)
        self.owner = owner

    def __missing__(self, key: str) -> NoReturn:
        if key in _RATES:
            self._refuse()
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key in _RATES:
            self._refuse()
        super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return an entry, set to ``default`` if it is missing.

        Raises:
            TypeError: the entry is a learning rate.
        """
        if key in _RATES:
            self._refuse()
        return super().setdefault(key, default)

    def _refuse(self) -> NoReturn:
        raise TypeError(
            f"{self.owner} has no learning rate: it finds the length of its steps itself, so a"
            " learning-rate scheduler cannot be used with it; leave the scheduler out."
        )


def group_of(rule: type[Rule], group: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter group of a rule: itself, or one that refuses a learning rate."""
    if any(field.name == "lr" for field in rule.fields()) or isinstance(group, RatelessGroup):
        return group
    return RatelessGroup(group, rule.__name__)
