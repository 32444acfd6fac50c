"""Libraries that take long to import, imported at their first use.

Importing torch takes seconds, and a window that only lists optimizers must not wait for it, nor a
command that lists runs for numpy or typer. Modules therefore write ``from optlab.core.lazy import
torch`` and use the name like the module: reading the first attribute imports it.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import torch
    import torch.nn.functional as functional
    import typer
else:

    class _Lazy(ModuleType):
        """Proxy of a module that caches each attribute.

        Later reads are as fast as those of the module.
        """

        def __getattr__(self, attribute: str) -> Any:
            # read by tools that inspect every object; no reason to import anything
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            if self.__name__.startswith("torch") and "torch" not in sys.modules:
                # Spinning OpenMP threads starve the window and other runs; torch reads the policy
                # only when it is imported.
                os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            value = getattr(importlib.import_module(self.__name__), attribute)
            setattr(self, attribute, value)
            return value

    numpy = _Lazy("numpy")
    torch = _Lazy("torch")
    functional = _Lazy("torch.nn.functional")
    typer = _Lazy("typer")

__all__ = ["functional", "numpy", "torch", "typer"]
