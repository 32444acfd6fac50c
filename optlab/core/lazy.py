"""torch, imported at its first use and not before.

Importing torch takes seconds; a window that lists optimizers must not wait for it. Catalogue and
engine modules therefore write ``from optlab.core.lazy import torch`` and use it as they would the
module: the first attribute read imports it.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as functional
else:

    class _Lazy(ModuleType):
        """Stands in for a module and keeps what was read, so that later reads cost what a module's
        do.
        """

        def __getattr__(self, attribute: str) -> Any:
            # asked by tools that inspect every object; no reason to load torch
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            if "torch" not in sys.modules:
                # Spinning OpenMP threads starve the window and other runs; the policy is read once,
                # at import.
                os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            value = getattr(importlib.import_module(self.__name__), attribute)
            setattr(self, attribute, value)
            return value

    torch = _Lazy("torch")
    functional = _Lazy("torch.nn.functional")

__all__ = ["functional", "torch"]
