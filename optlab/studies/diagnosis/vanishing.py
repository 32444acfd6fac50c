"""Exploding or vanishing gradients, from layer to layer or from time step to time step."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_RATIO = 1e3


def examine(history: RunHistory) -> Finding | None:
    """Return whether they explode or vanish (needs ``gradients_by_layer`` or ``time_gradient``)."""
    by_layer, left = history.last("gradients_by_layer.norm"), history.values("time_gradient.left")
    clip = (
        None
        if history.experiment.clipping.active
        else Remedy("Clip the gradient by its norm", {"clipping.name": "norm"}, live=False)
    )
    orthogonal = Remedy(
        "Start from orthogonal weights", {"initializer.name": "orthogonal"}, live=False
    )
    if len(left):
        ratio = float(left[-1])
        if ratio > _MIN_RATIO or 0.0 <= ratio < 1.0 / _MIN_RATIO:
            explodes = ratio > 1.0
            return Finding(
                "vanishing",
                f"The gradient {'explodes' if explodes else 'vanishes'} on its way back through "
                "time: the first "
                f"steps of a sequence contribute {'nearly all' if explodes else 'almost nothing'}.",
                f"Its norm at the first time step is {short(ratio)} times that at the last.",
                0.7,
                available(clip if explodes else None, orthogonal),
            )
    names = history.columns.get("gradients_by_layer.norm", ())
    weights = [k for k, name in enumerate(names) if name.endswith("weight")]
    norms = by_layer[weights] if len(weights) > 1 and len(by_layer) == len(names) else np.zeros(0)
    if len(norms) < 2 or not norms.max() > 0.0:
        return None
    low, high = int(norms.argmin()), int(norms.argmax())
    if norms[high] < _MIN_RATIO * max(float(norms[low]), 1e-300):
        return None
    explodes = high < low
    normalize = (
        Remedy("Normalize between the layers", {"model.batch_norm": "true"}, live=False)
        if hasattr(history.experiment.model, "batch_norm")
        else None
    )
    return Finding(
        "vanishing",
        f"The gradient {'explodes' if explodes else 'vanishes'} on its way back through the "
        "layers: "
        f"{names[weights[low]]} hardly learns, unlike {names[weights[high]]}.",
        f"Their gradient norms are {short(float(norms[low]))} and {short(float(norms[high]))}.",
        0.7,
        available(normalize, clip if explodes else None, orthogonal),
    )
