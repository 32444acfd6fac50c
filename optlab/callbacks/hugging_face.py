"""Watching what the Trainer of Hugging Face's transformers trains."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from optlab.watch import Watcher, watch


class HuggingFaceWatch(TrainerCallback):
    """A callback for ``transformers.Trainer``: it watches ``train``.

    Args:
        options: of :func:`optlab.watch.start.watch`.

    Attributes:
        watcher: of the training that is in progress, or was last.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.watcher = Watcher()

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **_more: Any
    ) -> None:
        """Begin to watch; the optimizer is found at its first step."""
        if state.is_world_process_zero and model is not None:
            self.watcher = watch(model, **self._options)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_more: Any) -> None:
        """Record the numbers that the Trainer logs."""
        numbers: dict[str, Any] = {
            str(name): value
            for name, value in (logs or {}).items()
            if isinstance(value, int | float) and name != "step"
        }
        self.watcher.log(**numbers)

    def on_train_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Watch no more."""
        self.watcher.detach()
