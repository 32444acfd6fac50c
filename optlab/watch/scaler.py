"""Which gradient scaler, if any, steps an optimizer.

Mixed precision multiplies the loss by a scale, so the backward pass ends with gradients that are as
much too large. A scaler steps the optimizer itself; it is found among the callers of the step, so
that nobody has to name it.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from optlab.core.lazy import torch

_DEPTH = 12
"""Callers that are looked at."""


def calling_scaler() -> Any:
    """Return the gradient scaler among the callers, or None."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return None
        if frame.f_code.co_name in ("step", "_maybe_opt_step"):
            caller = frame.f_locals.get("self")
            if isinstance(caller, torch.amp.GradScaler):
                return caller
        frame = frame.f_back
    return None


def scale_of(scaler: Any) -> torch.Tensor | None:
    """Return a copy ``[]`` of a scaler's scale; None where it is off or does not keep one.

    The public ``get_scale`` waits for the device.
    """
    scale = getattr(scaler, "_scale", None)
    return scale.detach().clone() if isinstance(scale, torch.Tensor) else None
