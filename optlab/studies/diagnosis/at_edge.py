"""Training at the edge of stability: the curvature hovers at the largest stable one."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, RunHistory, short


def examine(history: RunHistory) -> Finding | None:
    """Return whether the run trains at the edge of stability (needs ``spectrum``, scheduled).

    It is no problem: the loss rises now and then and falls over long stretches. The rules that
    would call single rises too long a step are silent there.
    """
    edge = history.hovering()
    if edge is None:
        return None
    loss = history.recent("batch_loss")
    rises = float(np.mean(np.diff(loss) > 0.0)) if len(loss) > 1 else 0.0
    return Finding(
        "at_edge",
        "You train at the edge of stability: the loss will rise now and then, this is normal. Over "
        "long stretches it goes on falling.",
        f"The curvature that limits the rate was {short(edge.curvature)} on average over the last "
        f"{edge.readings} readings, {edge.ratio:.0%} of the largest stable one "
        f"({short(edge.curvature / edge.ratio)}). The loss rose in {rises:.0%} of the last steps.",
        0.1,
    )
