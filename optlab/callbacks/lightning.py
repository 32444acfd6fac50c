"""Watching what Lightning trains."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback

from optlab.watch import Watcher, watch


class LightningWatch(Callback):
    """A callback for ``lightning.Trainer``: it watches ``fit``.

    Args:
        options: of :func:`optlab.watch.start.watch`.

    Attributes:
        watcher: of the training that is in progress, or was last.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.watcher = Watcher()

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch; the optimizers are found at their first steps."""
        if trainer.is_global_zero:
            self.watcher = watch(pl_module, **self._options)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, *_batch: Any, **_more: Any
    ) -> None:
        """Record the loss of the step."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None:
            self.watcher.log(loss=loss)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what was logged for the validation."""
        if not trainer.sanity_checking:
            metrics = {str(name): value for name, value in trainer.callback_metrics.items()}
            self.watcher.log(**{name: metrics[name] for name in metrics if name != "loss"})

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Record that the training has failed."""
        stopped = isinstance(exception, KeyboardInterrupt)
        reason = f"{type(exception).__name__}: {exception}"[:500]
        self.watcher.end("stopped" if stopped else "failed", reason)
        self.watcher.detach()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Watch no more."""
        self.watcher.detach()
