"""The curvature of a surface at a point, described from its Hessian."""

from __future__ import annotations

import numpy as np

from optlab.gui.plots.relief import Floats
from optlab.gui.plots.ticks import readable
from optlab.tasks.surfaces import SurfacePicture

FLAT = 1e-6
"""Eigenvalues below this share of the largest one in the picture count as zero."""


def hessian_at(picture: SurfacePicture, point: tuple[float, ...]) -> Floats | None:
    """Return the Hessian ``[d, d]`` at the nearest grid point; None outside of the grid."""
    index: list[int] = []
    for axis, coordinate in zip(picture.axes, point, strict=True):
        if not axis[0] <= coordinate <= axis[-1]:
            return None
        index.insert(0, int(np.abs(axis - coordinate).argmin()))
    hessian: Floats = picture.hessians[tuple(index)]
    return hessian if np.isfinite(hessian).all() else None


def curvature(eigenvalues: Floats, flat: float) -> str:
    """Return how a surface curves where its Hessian has these eigenvalues ``[d]``.

    Args:
        flat: magnitude up to which an eigenvalue counts as zero.
    """
    up, down = int((eigenvalues > flat).sum()), int((eigenvalues < -flat).sum())
    if up == len(eigenvalues):
        return "locally convex"
    if down == len(eigenvalues):
        return "locally concave"
    if up and down:
        return "saddle-shaped"
    return "curved in one direction only" if up or down else "flat"


def describe(picture: SurfacePicture, point: tuple[float, ...], height: float) -> str:
    """Return coordinates, height, eigenvalues and shape as rich text; "" outside of the picture."""
    hessian = hessian_at(picture, point)
    where = ", ".join(readable(coordinate, 3) for coordinate in point)
    if hessian is None:
        return ""
    eigenvalues: Floats = np.linalg.eigvalsh(hessian).astype(np.float64)
    largest = float(np.nanmax(np.abs(picture.hessians[np.isfinite(picture.hessians)]), initial=0.0))
    values = ", ".join(readable(float(value), 3) for value in eigenvalues)
    shape = curvature(eigenvalues, FLAT * largest)
    return f"({where})&nbsp; f = {readable(height, 4)}<br>eigenvalues of H: {values}<br>{shape}"
