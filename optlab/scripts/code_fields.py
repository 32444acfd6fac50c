"""What stands for the fields of a component in code that is written again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fields:
    """What stands for ``h`` or ``self`` in the code of a component.

    Attributes:
        constants: field → value, for those that cannot change during a run.
        names: field → name of the variable, for those that can.
        owner: the component whose methods are called, if any.
        used: fields that the code has asked for as variables, in order.
    """

    constants: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    owner: Any = None
    used: dict[str, str] = field(default_factory=dict)

    def variable(self, name: str) -> str:
        """Return the name of the variable for a field, and note that it is used."""
        self.used[name] = self.names[name]
        return self.names[name]
