"""What a point of a surface is, in words, from its Hessian (row C6): which ways it bends."""

from __future__ import annotations

import numpy as np

from optlab.gui.plots.relief import Floats
from optlab.gui.plots.ticks import readable
from optlab.tasks.surfaces import SurfacePicture

FLAT = 1e-6
"""Eigenvalues below this share of the largest on the picture count as zero."""


def hessian_at(picture: SurfacePicture, point: tuple[float, ...]) -> Floats | None:
    """The Hessian ``[d, d]`` at the point of the grid that is nearest; None outside."""
    place: list[int] = []
    for axis, coordinate in zip(picture.axes, point, strict=True):
        if not axis[0] <= coordinate <= axis[-1]:
            return None
        place.insert(0, int(np.abs(axis - coordinate).argmin()))
    found: Floats = picture.hessians[tuple(place)]
    return found if np.isfinite(found).all() else None


def bending(eigenvalues: Floats, flat: float) -> str:
    """How a surface bends where its Hessian has these eigenvalues; ``flat``: up to which they count
    as zero.
    """
    up, down = int((eigenvalues > flat).sum()), int((eigenvalues < -flat).sum())
    if up == len(eigenvalues):
        return "convex here"
    if down == len(eigenvalues):
        return "concave here"
    if up and down:
        return "saddle-shaped here"
    return "bends one way only" if up or down else "flat here"


def describe(picture: SurfacePicture, point: tuple[float, ...], height: float) -> str:
    """Coordinates, height, eigenvalues and what they mean, as rich text; "" outside of the picture."""
    hessian = hessian_at(picture, point)
    where = ", ".join(readable(coordinate, 3) for coordinate in point)
    if hessian is None:
        return ""
    eigenvalues: Floats = np.linalg.eigvalsh(hessian).astype(np.float64)
    largest = float(np.nanmax(np.abs(picture.hessians[np.isfinite(picture.hessians)]), initial=0.0))
    values = ", ".join(readable(float(value), 3) for value in eigenvalues)
    words = bending(eigenvalues, FLAT * largest)
    return f"({where})&nbsp; f = {readable(height, 4)}<br>eigenvalues of H: {values}<br>{words}"
