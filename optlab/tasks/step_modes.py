"""How the steps of a run are taken, in words."""

from __future__ import annotations

from collections.abc import Mapping

from optlab.training.events import StepMode

_EXPLAINED: Mapping[StepMode, str] = {
    "ordinary": "Ordinary steps: torch executes one operation after the other.",
    "recorded": "Recorded steps: their operations were recorded once and are repeated, with the "
    "same bits.",
    "compiled": "Compiled steps: their operations were translated to C++; each agrees with an "
    "ordinary one to about 1e-6 of its size.",
    "captured": "Captured steps: the GPU takes them in blocks, each launched as one; each agrees "
    "with an ordinary one to about 1e-6 of its size.",
}


def in_words(mode: StepMode) -> str:
    """Return what the steps are called: ``"recorded steps"``."""
    return f"{mode} steps"


def explanation(mode: StepMode, reason: str = "") -> tuple[str, ...]:
    """Return one or two sentences: what such steps are, and why they are not taken faster.

    Args:
        reason: see :class:`optlab.training.events.StepModeChanged`.
    """
    better = "recorded" if mode == "ordinary" else "compiled"
    if reason:
        return _EXPLAINED[mode], f"They are not {better} because {reason}."
    if mode == "ordinary":
        return _EXPLAINED[mode], "A run begins with them until its steps have been recorded."
    return (_EXPLAINED[mode],)
