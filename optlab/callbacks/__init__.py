"""Callbacks that watch the loops of training libraries; each is imported at its first use.

>>> from optlab.callbacks import LightningWatch  # doctest: +SKIP
>>> trainer = lightning.Trainer(callbacks=[LightningWatch(folder="runs")])  # doctest: +SKIP

``HuggingFaceWatch`` is for the Trainer of Hugging Face's transformers, ``KerasWatch`` for Keras on
torch. They take the options of :func:`optlab.watch.start.watch` but model and optimizer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optlab.callbacks.hugging_face import HuggingFaceWatch
    from optlab.callbacks.keras import KerasWatch
    from optlab.callbacks.lightning import LightningWatch

__all__ = ["HuggingFaceWatch", "KerasWatch", "LightningWatch"]

_PARTS = {
    "HuggingFaceWatch": ("hugging_face", "transformers"),
    "KerasWatch": ("keras", "keras"),
    "LightningWatch": ("lightning", "lightning"),
}


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, library = _PARTS[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise ImportError(
            f"optlab.callbacks.{name} needs {library}, which is not installed; install it with: "
            f"pip install {library}"
        ) from error
