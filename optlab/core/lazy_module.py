"""A module that is imported when it is first used.

For what many methods of one file need, but nothing needs when the file is imported. Type checkers
and the installer do not see such an import, so it is written as a statement as well::

    if TYPE_CHECKING:
        from optlab.training import events
    else:
        events = LazyModule("optlab.training.events")
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stand-in for a module, which is imported when the first attribute is read.

    Each attribute is kept, so later reads are as fast as those of the module.

    Args:
        name: dotted name of the module.
    """

    def __getattr__(self, attribute: str) -> Any:
        # read by tools that inspect every object; no reason to import anything
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        value = getattr(importlib.import_module(self.__name__), attribute)
        setattr(self, attribute, value)
        return value
