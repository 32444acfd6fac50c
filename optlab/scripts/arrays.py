"""The numbers that travel beside a script: examples, start weights, and what a step drew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.batches.base import Examples
from optlab.core.errors import InvalidInput
from optlab.training.fresh import tensors
from optlab.training.trainer import Trainer

LARGEST = 512 * 1024 * 1024
"""Bytes of all arrays, at most."""


def arrays_of(trainer: Trainer, steps: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a script by name.

    They are inputs ``x_…`` ``[n, *inputs]``, targets ``y_…`` ``[n]`` or ``[n, outputs]``, and
    ``start/…`` of the shape of each tensor, and of what else the model has that belongs to a run.

    Args:
        trainer: of one run, before its first step. steps: of the run.

    Raises:
        InvalidInput: they are larger than :data:`LARGEST`.
    """
    data = trainer.requested[0].dataset.load()
    arrays: dict[str, NDArray[Any]] = {}
    parts = {"train": data.training, "validation": data.validation, "test": data.test}
    for name, part in parts.items():
        if len(part):
            x, y = tensors(part, "cpu", trainer.dtype)
            arrays[f"x_{name}"], arrays[f"y_{name}"] = x.numpy(), y.numpy()
    order = trainer.requested[0].batches
    if order.streams:
        size = trainer.batch * steps * data.shape.width * trainer.theta.element_size()
        _check(size)
        batches = [trainer.batch_of(step) for step in range(steps)]
        arrays["x_stream"] = np.concatenate([x[0].numpy() for x, _ in batches])
        arrays["y_stream"] = np.concatenate([y[0].numpy() for _, y in batches])
    for name, value in order.of_examples(
        Examples(*tensors(data.training, "cpu", trainer.dtype))
    ).items():
        arrays[name] = value.numpy()
    for name, value in trainer.layout.named(trainer.theta).items():
        arrays[f"start/{name}"] = value[0].cpu().numpy().copy()
    states = trainer.objective.states
    for name, value in ({} if states is None else states.like(trainer.theta)).items():
        arrays[f"start/{name}"] = value[0].cpu().numpy().copy()
    _check(sum(value.nbytes for value in arrays.values()))
    return arrays


def _check(size: int) -> None:
    if size > LARGEST:
        raise InvalidInput(
            f"The examples of this run take {size / 1e6:,.0f} MB, and the file beside a script may "
            f"have {LARGEST / 1e6:,.0f} MB; choose fewer steps or a smaller data set.",
            "dataset",
        )
