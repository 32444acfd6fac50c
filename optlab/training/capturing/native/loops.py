"""Loops over the elements of tensors, in C++."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optlab.training.capturing.native.operands import Pair, Slots


@dataclass
class Elementwise:
    """An operation on each element of tensors of one shape.

    Attributes:
        out: its result. read: other tensors, broadcast to the same shape. text: what an element of
            the result is, where ``{0}``, ``{1}`` … stand for those of ``read``.
    """

    out: Pair
    read: list[Pair]
    text: str

    @property
    def tensors(self) -> list[Pair]:
        """The tensors that it uses."""
        return [*self.read, self.out]


@dataclass
class Lines:
    """Any other operation.

    Attributes:
        lines: that execute it. out: its result. read: other tensors. written_to: returns the same
            operation with its result elsewhere; None where it has no such form.
    """

    lines: list[str]
    out: Pair
    read: list[Pair]
    written_to: Callable[[Pair], Lines] | None = None

    @property
    def tensors(self) -> list[Pair]:
        """The tensors that it uses."""
        return [*self.read, self.out]


def merged(
    shape: Sequence[int], strides: Sequence[Sequence[int]], order_by: int = -1
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the size of each loop over tensors of one shape, and what it adds to each address.

    Dimensions that follow one another in all tensors are one loop; the last is the innermost.

    Args:
        shape: of all. strides: of each. order_by: the tensor whose memory the loops follow.
    """
    dimensions = [
        (size, tuple(one[axis] for one in strides)) for axis, size in enumerate(shape) if size != 1
    ]
    dimensions.sort(key=lambda one: -abs(one[1][order_by]))
    loops: list[tuple[int, tuple[int, ...]]] = []
    for size, steps in dimensions:
        if loops:
            outer, its = loops[-1]
            if all(its_step == size * step for its_step, step in zip(its, steps, strict=True)):
                loops[-1] = outer * size, steps
                continue
        loops.append((size, steps))
    yield from loops or [(1, tuple(0 for _ in strides))]


def nested(
    loops: Sequence[tuple[int, Sequence[int]]],
    names: Sequence[str],
    letter: str,
    vector: str | None = None,
) -> tuple[list[str], list[str]]:
    """Return the heads of nested loops, and the offset of each tensor in the innermost.

    Args:
        loops: size and what it adds to each offset, the innermost last. names: of the tensors.
        letter: of the loop variables. vector: clauses of the innermost loop, which is vectorized;
            None where it is not known that its elements are independent.
    """
    lines, terms = [], [["0"] for _ in names]
    for depth, (size, steps) in enumerate(loops):
        variable = f"{letter}{depth}"
        pragma = ""
        if vector is not None and depth == len(loops) - 1:
            pragma = f'_Pragma("omp simd {vector}") ' if vector else "INDEPENDENT "
        lines.append(f"{pragma}for (int64_t {variable} = 0; {variable} < {size}; ++{variable}) {{")
        for its, step in zip(terms, steps, strict=True):
            if step:
                its.append(f"{variable} * {step}")
    return lines, [" + ".join(its[1:] or its) for its in terms]


def element_loops(group: Sequence[Elementwise], slots: Slots) -> list[str]:
    """Return the lines of elementwise operations of one shape, in one loop."""
    pairs: list[Pair] = []
    for one in group:
        pairs += [*one.read, one.out]
    # Tensors that are not at the same place have no element in common.
    numbers = sorted({slots.number(pair) for pair in pairs})
    apart = [
        f"{slots.all[number].kind} *__restrict const q{number} = p{number};" for number in numbers
    ]
    loops = list(merged(group[0].out.shape, [one.strides for one in pairs]))
    lines, at = nested(loops, ["" for _ in pairs], "i", vector="")
    texts, rest = [], iter(zip(pairs, at, strict=True))
    for one in group:
        read = []
        for _ in one.read:
            pair, place = next(rest)
            read.append(f"q{slots.number(pair)}[{place}]")
        pair, place = next(rest)
        texts.append(f"q{slots.number(pair)}[{place}] = {one.text.format(*read)};")
    return ["{", *apart, *lines, *texts, "}" * len(lines), "}"]


def joins(group: Sequence[Elementwise], another: Elementwise) -> bool:
    """Return whether an operation can be in the same loop as others.

    Each element is then computed from the elements of its own place, as if one operation came after
    the other.
    """
    if group and group[0].out.shape != another.out.shape:
        return False
    pairs = [pair for one in (*group, another) for pair in (*one.read, one.out)]
    written = [one.out for one in (*group, another)]
    return all(out.same_place(pair) or not out.overlaps(pair) for out in written for pair in pairs)
