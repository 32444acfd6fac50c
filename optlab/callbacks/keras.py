"""Watching what Keras trains on torch."""

from __future__ import annotations

from typing import Any

import keras

from optlab.watch import Watcher, watch


class KerasWatch(keras.callbacks.Callback):
    """A callback for ``keras.Model.fit`` on the torch backend.

    Optimizers of Keras are none of torch's: the call that applies the gradients is the step.

    Args:
        options: of :func:`optlab.watch.start.watch`.

    Attributes:
        watcher: of the training that is in progress, or was last.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options
        self.watcher = Watcher()
        self._optimizer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to watch."""
        self.watcher = watch(self.model, **self._options)
        optimizer = self._optimizer = self.model.optimizer
        apply = optimizer.apply

        def watched_apply(*arguments: Any, **options: Any) -> Any:
            with self.watcher.step():
                return apply(*arguments, **options)

        object.__setattr__(optimizer, "apply", watched_apply)

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        """Record the loss and the metrics of the batch, which Keras averages over the epoch."""
        self.watcher.log(**(logs or {}))

    def on_epoch_end(self, epoch: Any, logs: Any = None) -> None:
        """Record what was validated."""
        self.watcher.log(
            **{name: value for name, value in (logs or {}).items() if name.startswith("val_")}
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Watch no more."""
        if self._optimizer is not None:
            vars(self._optimizer).pop("apply", None)
            self._optimizer = None
        self.watcher.detach()
