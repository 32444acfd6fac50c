"""A loop over elements that executes several operations on each."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.compiled.compiler import Function, compiled

_TYPES = {"float32": "float", "float64": "double"}
_FORMS: Mapping[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "sqrt": "std::sqrt({})",
    # As torch has it: 0 where the value is not a number.
    "sign": "(T)(({0} > 0) - ({0} < 0))",
}
"""Operation of torch → what it is in C++, with the same bits."""
OPERATIONS = frozenset(_FORMS)


@dataclass(frozen=True)
class Array:
    """The element of an array, by the number of the array."""

    number: int


@dataclass(frozen=True)
class Number:
    """A number that is the same for all elements, by its place among them."""

    place: int


Operand = Array | Number | int
"""An ``int`` is the number of an operation, whose result it stands for."""


@dataclass(frozen=True)
class Loop:
    """What is done with each element.

    Attributes:
        arrays: how many there are.
        operations: one of :data:`OPERATIONS` and its operands, in their order.
        stores: array → its new element. All elements are read before the first is written.
    """

    arrays: int
    operations: tuple[tuple[str, tuple[Operand, ...]], ...]
    stores: tuple[tuple[int, Operand], ...]

    def source(self, dtype: torch.dtype) -> str:
        """Return the source of the loop in C++, for float32 or float64."""
        kind = _TYPES[str(dtype).removeprefix("torch.")]
        read = _read(self)
        lines = [
            "#include <cmath>",
            "#include <cstdint>",
            f"typedef {kind} T;",
            "#if defined(__clang__)",
            '#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")',
            "#else",
            '#define INDEPENDENT _Pragma("GCC ivdep")',
            "#endif",
            # Arrays may be the same ones, element by element; they do not overlap otherwise.
            f'extern "C" void {NAME}(int64_t rows, const int64_t *lengths, T *const *table,'
            " const T *numbers) {",
            *(f"const T n{place} = numbers[{place}];" for place in _places(self)),
            "for (int64_t row = 0; row < rows; ++row) {",
            "const int64_t length = lengths[row];",
        ]
        lines += [
            f"T *const p{number} = table[{number} * rows + row];" for number in range(self.arrays)
        ]
        lines += ["INDEPENDENT", "for (int64_t i = 0; i < length; ++i) {"]
        lines += [f"const T a{number} = p{number}[i];" for number in read]
        for number, (name, operands) in enumerate(self.operations):
            form = _FORMS[name].format(*map(_written, operands))
            lines.append(f"const T v{number} = {form};")
        lines += [f"p{number}[i] = {_written(value)};" for number, value in self.stores]
        return "\n".join([*lines, "}", "}", "}", ""])

    def compiled(self, dtype: torch.dtype) -> Function:
        """Return the loop as a function for float32 or float64.

        Its arguments are the number of rows, the address of their lengths (64-bit integers), the
        address of a table ``[arrays, rows]`` of the addresses where each row of an array begins, and
        that of the numbers, which are of the type of the elements. Elements of a row follow one
        another. Rows that are written overlap no other rows, except the same row of another array,
        which is then at the same address.

        Raises:
            NotCompiled: there is no compiler here, or it fails.
        """
        return compiled(self.source(dtype), NAME, ARGUMENTS)


NAME = "loop"
"""Of the function in the source."""
ARGUMENTS: Sequence[Any] = (ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def _read(loop: Loop) -> list[int]:
    """Return the arrays whose elements are needed, in their order."""
    used = [operand for _, operands in loop.operations for operand in operands]
    used += [value for _, value in loop.stores]
    found = {operand.number for operand in used if isinstance(operand, Array)}
    return sorted(found)


def _places(loop: Loop) -> Collection[int]:
    used = [operand for _, operands in loop.operations for operand in operands]
    used += [value for _, value in loop.stores]
    return sorted({operand.place for operand in used if isinstance(operand, Number)})


def _written(operand: Operand) -> str:
    if isinstance(operand, Array):
        return f"a{operand.number}"
    return f"n{operand.place}" if isinstance(operand, Number) else f"v{operand}"
