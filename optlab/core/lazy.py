"""Libraries that take long to import, imported at their first use.

Importing torch takes seconds, and a window that only lists optimizers must not wait for it, nor a
command that lists runs for numpy or typer. Modules therefore write ``from optlab.core.lazy import
torch`` and use the name like the module: reading the first attribute imports it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from optlab.core.lazy_module import LazyModule

if TYPE_CHECKING:
    import numpy
    import torch
    import torch.nn.functional as functional
    import typer
else:

    class _Torch(LazyModule):
        def __getattr__(self, attribute: str) -> Any:
            if "torch" not in sys.modules and not attribute.startswith("__"):
                # Spinning OpenMP threads starve the window and other runs; torch reads the policy
                # only when it is imported.
                os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            return super().__getattr__(attribute)

    numpy = LazyModule("numpy")
    torch = _Torch("torch")
    functional = _Torch("torch.nn.functional")
    typer = LazyModule("typer")

__all__ = ["functional", "numpy", "torch", "typer"]
