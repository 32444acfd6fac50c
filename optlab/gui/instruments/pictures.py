"""The arrays that an instrument draws, turned into a plot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optlab.gui.plots.relief import Floats
from optlab.studies.demonstrations.base import Axis, Curve, Plot, Scatter


def plot_of(title: str, arrays: Mapping[str, Floats]) -> Plot | None:
    """Return a plot of the arrays ``[n]`` of one reading, or None if they cannot be drawn.

    ``edges`` ``[n + 1]`` and ``counts`` ``[n]`` make a histogram, ``probability`` and ``accuracy``
    a reliability curve. Otherwise the other arrays are drawn over the first one, and a single array
    over the indices of its entries.
    """
    if "edges" in arrays and "counts" in arrays:
        edges, counts = arrays["edges"], arrays["counts"]
        x, y = np.repeat(edges, 2)[1:-1], np.repeat(counts, 2)
        return Plot(
            title, Axis(title), Axis("Examples"), curves=(Curve("Examples", x, y, style="path"),)
        )
    if "probability" in arrays and "accuracy" in arrays:
        probability, accuracy = arrays["probability"], arrays["accuracy"]
        finite = np.isfinite(probability) & np.isfinite(accuracy)
        ideal = Curve(
            "Perfect calibration", np.array([0.0, 1.0]), np.array([0.0, 1.0]), style="predicted"
        )
        measured = Curve("This run", probability[finite], accuracy[finite])
        return Plot(
            title,
            Axis("Mean probability of the predicted class"),
            Axis("Accuracy"),
            curves=(ideal, measured),
        )
    names = list(arrays)
    if len(names) == 1:
        arrays = {"number": np.arange(1.0, len(arrays[names[0]]) + 1.0), **arrays}
        names = list(arrays)
    if len(names) < 2:
        return None
    x = arrays[names[0]]
    curves = tuple(
        Curve(_title(name), x, arrays[name]) for name in names[1:] if arrays[name].shape == x.shape
    )
    if not curves:
        return None
    positive = all(
        (curve.y[np.isfinite(curve.y)] > 0).all() and np.isfinite(curve.y).any() for curve in curves
    )
    wide = positive and max(float(np.nanmax(c.y)) for c in curves) > 100.0 * min(
        float(np.nanmin(c.y)) for c in curves
    )
    log_x = bool((x > 0).all() and len(x) > 1 and x[-1] > 100.0 * x[0])
    return Plot(
        title,
        Axis(_title(names[0]), log=log_x),
        Axis(title, log=wide),
        curves=curves,
        scatters=_points(curves),
    )


def _points(curves: tuple[Curve, ...]) -> tuple[Scatter, ...]:
    """Return the curves of a single point as scatters, because a point has no line."""
    return tuple(Scatter(curve.name, curve.x, curve.y) for curve in curves if len(curve.x) == 1)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
