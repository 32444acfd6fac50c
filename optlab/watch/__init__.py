"""A foreign training loop, seen from inside it: two lines in a script of your own.

The organizing idea: the loop leaves numbers behind and never waits; a thread appends them to a
folder; ``optlab FOLDER`` shows it, live and afterwards. See :class:`optlab.watch.watcher.Watcher`.

>>> import torch, optlab
>>> model = torch.nn.Linear(3, 1)
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
>>> w = optlab.watch(model, optimizer)  # doctest: +SKIP

This package is a function as well: ``optlab.watch(model, optimizer)`` is
:func:`optlab.watch.start.watch`. It needs neither Qt nor the catalogue, and imports only what torch
has imported already.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from optlab.watch.start import watch
from optlab.watch.watcher import Watcher

__all__ = ["Watcher", "watch"]


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Watcher:
        return watch(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
