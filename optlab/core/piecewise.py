"""A number as a function of the step, written as one line of text.

The line is a list of pieces, separated by semicolons, in the order in which they follow each
other::

    from 0%; linear to 100% in 200; cosine to 1% in 1800

The same grammar serves the learning rate (``schedule.pieces``) and every other number that can
follow a schedule (the section ``[schedules]``). :mod:`optlab.core.piecewise_text` reads it and
tells it in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Shape = Literal["linear", "cosine", "exponential", "polynomial"]


@dataclass(frozen=True)
class Value:
    """A value of the field.

    Attributes:
        number: the value, or its share of the field's own value. share: which of both.
    """

    number: float
    share: bool

    def of(self, base: float) -> float:
        """Return the value for a field whose own value is ``base``."""
        return self.number * base if self.share else self.number

    def __str__(self) -> str:
        return f"{self.number * 100:.12g}%" if self.share else f"{self.number:.12g}"


@dataclass(frozen=True)
class Length:
    """A duration.

    Attributes:
        number: how many. epochs: whether it counts epochs.
    """

    number: float
    epochs: bool = False

    @property
    def steps(self) -> int:
        """The duration in steps.

        Raises:
            ValueError: it counts epochs, and was not converted.
        """
        if self.epochs:
            raise ValueError(
                "a duration in epochs has no number of steps before the data are known"
            )
        return max(1, round(self.number))

    def __str__(self) -> str:
        return f"{self.number:.12g}{' epochs' if self.epochs else ''}"


@dataclass(frozen=True)
class Jump:
    """Set the value."""

    to: Value

    def __str__(self) -> str:
        return f"from {self.to}"


@dataclass(frozen=True)
class Hold:
    """Keep the value."""

    length: Length

    def __str__(self) -> str:
        return f"hold {self.length}"


@dataclass(frozen=True)
class Move:
    """Go to a value within a number of steps.

    Attributes:
        power: exponent of the polynomial shape.
    """

    shape: Shape
    to: Value
    length: Length
    power: float = 1.0

    def at(self, start: float, end: float, share: float) -> float:
        """Return the value when a share from 0 to 1 of the steps is over."""
        if self.shape == "linear":
            return (1.0 - share) * start + share * end
        if self.shape == "cosine":
            return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * share))
        if self.shape == "exponential":
            # Zero has no logarithm: its own value, so that a field whose value is 0 stays there.
            return start * (end / start) ** share if start else end
        return float(end + (start - end) * (1.0 - share) ** self.power)

    def __str__(self) -> str:
        power = f" {self.power:.12g}" if self.shape == "polynomial" else ""
        return f"{self.shape}{power} to {self.to} in {self.length}"


@dataclass(frozen=True)
class Inverse:
    """Decay as 1/k, or its root, without end."""

    length: Length
    root: bool

    def at(self, start: float, step: int) -> float:
        """Return the value ``step`` steps after the piece began."""
        factor = self.length.steps / (self.length.steps + step)
        return start * (math.sqrt(factor) if self.root else factor)

    def __str__(self) -> str:
        return f"inverse {'root ' if self.root else ''}{self.length}"


@dataclass(frozen=True)
class NesterovSequence:
    """The momentum (k - 1)/(k + 2) of step k = 1, 2, …, of Nesterov's method for convex functions."""

    @staticmethod
    def at(step: int) -> float:
        """Return the value ``step`` (0, 1, …) steps after the piece began."""
        return step / (step + 3)

    def __str__(self) -> str:
        return "nesterov"


@dataclass(frozen=True)
class Repeat:
    """Repeat some pieces.

    Attributes:
        times: how often; None without end. longer: factor by which each repetition is longer.
    """

    pieces: tuple[Piece, ...]
    times: int | None = None
    longer: float = 1.0

    def __str__(self) -> str:
        times = "" if self.times is None else f" {self.times} times"
        longer = "" if self.longer == 1.0 else f" longer {self.longer:.12g}"
        return f"repeat{times}{longer} ({'; '.join(map(str, self.pieces))})"


Piece = Jump | Hold | Move | Inverse | NesterovSequence | Repeat


@dataclass(frozen=True)
class Piecewise:
    """A number as a function of the step."""

    pieces: tuple[Piece, ...]

    def at(self, step: int, base: float) -> float:
        """Return the value at a step (0, 1, …) for a field whose own value is ``base``.

        Raises:
            ValueError: a duration counts epochs; see :meth:`in_steps`.
        """
        return _value(self.pieces, base, base, step, 1.0)[0]

    def in_steps(self, steps_per_epoch: int) -> Piecewise:
        """Return the same function with all epochs converted to steps."""
        return Piecewise(tuple(_converted(self.pieces, steps_per_epoch)))

    @property
    def has_epochs(self) -> bool:
        """Whether a duration counts epochs."""
        return any(length.epochs for length in _lengths(self.pieces))

    def range(self, base: float) -> tuple[float, float]:
        """Return the lowest and the highest value that it takes or approaches."""
        values = list(_corners(self.pieces, base, base))
        return min(values), max(values)

    def tail(self, base: float) -> tuple[float, float]:
        """Return by which power of 1/k it decays in the end, and the factor before it.

        The power is 0 where the value stays the same or repeats, 1 and ½ for the inverse pieces.
        The factor is the last value, or the highest of those that repeat.
        """
        last = self.pieces[-1]
        value = base
        for piece in self.pieces[:-1]:
            value = _end(piece, value, base)
        if isinstance(last, Inverse):
            return (0.5 if last.root else 1.0), value
        if isinstance(last, NesterovSequence):
            return 0.0, 1.0
        if isinstance(last, Repeat) and last.times is None:
            return 0.0, max(_corners(last.pieces, value, base))
        return 0.0, _end(last, value, base)

    def __str__(self) -> str:
        return "; ".join(map(str, self.pieces))


# --- values -----------------------------------------------------------------------------------


def _value(
    pieces: Sequence[Piece], value: float, base: float, left: int, stretch: float
) -> tuple[float, int | None]:
    """Return the value after ``left`` steps, and None; or the last value and the steps left over.

    Args:
        value: before the first piece. stretch: factor of all durations.
    """
    for piece in pieces:
        if isinstance(piece, Jump):
            value = piece.to.of(base)
        elif isinstance(piece, Inverse):
            return piece.at(value, left), None
        elif isinstance(piece, NesterovSequence):
            return piece.at(left), None
        elif isinstance(piece, Repeat):
            value, after = _repeated(piece, value, base, left, stretch)
            if after is None:
                return value, None
            left = after
        else:
            steps = max(1, round(piece.length.steps * stretch))
            if left < steps:
                if isinstance(piece, Move):
                    value = piece.at(value, piece.to.of(base), left / steps)
                return value, None
            left -= steps
            if isinstance(piece, Move):
                value = piece.to.of(base)
    return value, left


def _repeated(
    repeat: Repeat, value: float, base: float, left: int, stretch: float
) -> tuple[float, int | None]:
    cycle = 0
    if repeat.longer == 1.0:
        # All cycles but the first begin at the same value, so that most of them can be skipped.
        period = _duration(repeat.pieces, stretch)
        cycle = left // period if repeat.times is None else min(left // period, repeat.times)
        if cycle:
            for piece in repeat.pieces:
                value = _end(piece, value, base)
            left -= cycle * period
    while repeat.times is None or cycle < repeat.times:
        value, after = _value(repeat.pieces, value, base, left, stretch * repeat.longer**cycle)
        if after is None:
            return value, None
        left = after
        cycle += 1
    return value, left


def _duration(pieces: Sequence[Piece], stretch: float = 1.0) -> int:
    """Return the number of steps of pieces that end."""
    total = 0
    for piece in pieces:
        if isinstance(piece, Repeat) and piece.times is not None:
            total += sum(
                _duration(piece.pieces, stretch * piece.longer**cycle)
                for cycle in range(1 if piece.longer == 1.0 else piece.times)
            ) * (piece.times if piece.longer == 1.0 else 1)
        elif isinstance(piece, Hold | Move):
            total += max(1, round(piece.length.steps * stretch))
    return total


def _end(piece: Piece, value: float, base: float) -> float:
    """Return the value after a piece that ends, from that before it."""
    if isinstance(piece, Jump | Move):
        return piece.to.of(base)
    if isinstance(piece, Repeat):
        for inner in piece.pieces:
            value = _end(inner, value, base)
    return value


def _corners(pieces: Sequence[Piece], value: float, base: float) -> Iterator[float]:
    """Yield the values between which pieces move, from the value before them."""
    held = value
    for index, piece in enumerate(pieces):
        if not isinstance(piece, Jump) and index == 0:
            yield held
        if isinstance(piece, Inverse):
            yield 0.0
        elif isinstance(piece, NesterovSequence):
            yield from (0.0, 1.0)
        elif isinstance(piece, Repeat):
            yield from _corners(piece.pieces, held, base)
        held = _end(piece, held, base)
        yield held


# --- epochs -----------------------------------------------------------------------------------


def _lengths(pieces: Sequence[Piece]) -> Iterator[Length]:
    for piece in pieces:
        if isinstance(piece, Repeat):
            yield from _lengths(piece.pieces)
        elif isinstance(piece, Hold | Move | Inverse):
            yield piece.length


def _converted(pieces: Sequence[Piece], steps_per_epoch: int) -> Iterator[Piece]:
    for piece in pieces:
        if isinstance(piece, Repeat):
            yield replace(piece, pieces=tuple(_converted(piece.pieces, steps_per_epoch)))
        elif isinstance(piece, Hold | Move | Inverse) and piece.length.epochs:
            yield replace(
                piece, length=Length(max(1, round(piece.length.number * steps_per_epoch)))
            )
        else:
            yield piece


def endless(piece: Piece) -> bool:
    """Return whether nothing can follow a piece."""
    return isinstance(piece, Inverse | NesterovSequence) or (
        isinstance(piece, Repeat) and piece.times is None
    )
