"""Shifted glyphs: images at the scale of MNIST whose distribution, and best classifier, are known."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer, number

_SEGMENTS = (
    ((4, 8), (4, 19)),  # top
    ((4, 19), (13, 19)),  # upper right
    ((13, 19), (22, 19)),  # lower right
    ((22, 8), (22, 19)),  # bottom
    ((13, 8), (22, 8)),  # lower left
    ((4, 8), (13, 8)),  # upper left
    ((13, 8), (13, 19)),  # middle
)
"""Ends of the seven segments of a digit, row and column in an image of 28 × 28."""
_DIGITS = ("012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356")
_SIDE = 28
_REACH = 4
"""Largest shift that keeps every glyph inside the image."""


class ShiftedGlyphs(Dataset):
    """Ten digits of seven segments, each at a random place and under noise, as images of 28 × 28.

    Every place within the shift is equally probable, and the noise of the pixels is independent and
    normal, so the probability of each digit given an image is a sum over the places. No classifier
    errs less than the one that takes the most probable digit.
    """

    name: ClassVar[str] = "shifted_glyphs"
    label: ClassVar[str] = "Shifted glyphs (28 × 28)"
    short: ClassVar[str] = "Shifted glyphs"
    group: ClassVar[str] = "Generated, images"
    sort_order: ClassVar[int] = 69
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "noise", "shift")
    rule: ClassVar[tuple[str, ...]] = (
        r"x = G_{y}(\cdot - s) + \sigma n,\quad y \sim U\{0, \ldots, 9\},\quad s \sim U\{-S, \ldots, S\}^2",
        r"p(y \mid x) \propto \sum_s \exp\left(-\frac{\|x - G_y(\cdot - s)\|^2}{2 \sigma^2}\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "G": "the glyph of a digit: 1 on its segments, 0 elsewhere",
        "s": "rows and columns by which it is shifted",
        "n": "standard normal noise of each pixel",
    }
    source: ClassVar[str] = "Seven-segment digits; the classifier is Bayes' rule."

    size: int = integer(
        10_000,
        "Examples",
        ge=10,
        le=100_000,
        log=True,
        slider=(1000, 70_000),
        help="Number of images drawn; MNIST has 70,000, which take 1.5 GB here while they are loaded.",
    )
    shift: int = integer(
        2,
        "Shift",
        symbol="S",
        ge=0,
        le=_REACH,
        slider=(0, _REACH),
        unit="pixels",
        help="Largest shift of a glyph in each direction.",
    )
    noise: float = number(
        1.0,
        "Noise",
        symbol="σ",
        gt=0.0,
        slider=(0.1, 3.0),
        help="Standard deviation of the noise of each pixel; the segments are 1 above the ground.",
    )

    def shape(self) -> DataShape:
        return DataShape((_SIDE, _SIDE), 10, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        y = rng.integers(0, 10, n)
        places = self.placed()
        x = rng.standard_normal((n, _SIDE, _SIDE))
        x *= self.noise
        x += places[y, rng.integers(0, places.shape[1], n)]
        return x, y.astype(np.int64)

    def placed(self) -> NDArray[np.float64]:
        """Return each glyph at each place, ``[10, places, 28, 28]``."""
        shifts = range(-self.shift, self.shift + 1)
        return np.stack(
            [
                np.stack(
                    [np.roll(glyph, (row, column), (0, 1)) for row in shifts for column in shifts]
                )
                for glyph in _glyphs()
            ]
        )

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        places = self.placed()
        flat = places.reshape(-1, _SIDE * _SIDE)
        fit = x.reshape(len(x), -1) @ flat.T - 0.5 * (flat**2).sum(axis=1)
        fit = (fit / self.noise**2).reshape(len(x), 10, -1)
        fit -= fit.max(axis=(1, 2), keepdims=True)
        likely = np.exp(fit).sum(axis=2)
        shares: NDArray[np.float64] = likely / likely.sum(axis=1, keepdims=True)
        return shares

    def class_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]


def _glyphs() -> NDArray[np.float64]:
    """Return the glyph of each digit, ``[10, 28, 28]``."""
    glyphs = np.zeros((10, _SIDE, _SIDE))
    for digit, segments in enumerate(_DIGITS):
        for segment in segments:
            (top, left), (bottom, right) = _SEGMENTS[int(segment)]
            glyphs[digit, top : bottom + 2, left : right + 2] = 1.0
    return glyphs
