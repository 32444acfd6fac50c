"""Recorded operations in C++, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optlab.training.capturing.native import products
from optlab.training.capturing.native.loops import Elementwise, Lines, merged, nested
from optlab.training.capturing.native.operands import Pair, Planned, Slots, paired

FEW = 2048
"""Values of which exponentials and logarithms are taken one by one: torch takes many at once."""


class NotTranslated(Exception):
    """An operation is left to torch."""


class Translator:
    """Translates the operations of one step.

    Args:
        runs: number of runs, which are the first dimension of most tensors.

    Attributes:
        slots: the tensors that they use. numbers: which numbers that differ from step to step they
            use, in the order in which a step gets them.
    """

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.slots = Slots()
        self.numbers: list[int] = []

    def translated(
        self,
        one: Planned,
        other: Planned,
        *,
        of_run: bool,
        private: Collection[int] = (),
    ) -> Elementwise | Lines:
        """Return an operation in C++.

        Args:
            one, other: the operation on the memory of either side. of_run: whether for one run,
                inside a loop over all of them. private: memory that is.

        Raises:
            NotTranslated: it is left to torch, or the runs depend on one another.
        """
        return _Operation(self, one, other, of_run=of_run, private=private).translated()

    def number(self, index: int) -> str:
        """Return a number that differs from step to step, as C++ has it."""
        if index not in self.numbers:
            self.numbers.append(index)
        return f"n[{self.numbers.index(index)}]"


_BINARY = {
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    # What is not a number stays so, whichever it is.
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
}
_UNARY = {
    "neg": "-{0}",
    "sqrt": "std::sqrt({0})",
    "abs": "std::fabs({0})",
    "sign": "({0} > 0) - ({0} < 0)",
    "reciprocal": "1 / {0}",
    "square": "{0} * {0}",
    "relu": "{0} < 0 ? 0 : {0}",
    "clone": "{0}",
    "_to_copy": "{0}",
    "alias": "{0}",
}
_TRANSCENDENTAL = {
    "exp": "exponential({0})",
    "log": "logarithm({0})",
    "tanh": "tangent({0})",
    "sigmoid": "1 / (1 + exponential(-{0}))",
    "log1p": "std::log1p({0})",
}
_OF_GRADIENTS = {
    "tanh_backward": "{0} * (1 - {1} * {1})",
    "sigmoid_backward": "{0} * (1 - {1}) * {1}",
}


class _Operation:
    def __init__(
        self,
        translator: Translator,
        one: Planned,
        other: Planned,
        *,
        of_run: bool,
        private: Collection[int],
    ) -> None:
        self._translator = translator
        self._one = one
        self._of_run = of_run
        self._private = private
        if len(one.results) != 1:
            raise NotTranslated
        (out,) = paired(one.results, other.results, one.call.results)
        self._rank = len(out.shape)
        if of_run and (not out.shape or out.shape[0] != translator.runs):
            raise NotTranslated
        if not out.kind or not out.one.numel():
            raise NotTranslated
        self._out = self._for_run(out)
        call = one.call
        self._arguments = self._for_run(paired(one.arguments, other.arguments, call.arguments))
        self._keywords: Mapping[str, Any] = {
            name: self._for_run(paired(value, other.keywords[name], call.keywords[name]))
            for name, value in one.keywords.items()
        }
        self._name = call.name

    def _for_run(self, value: Any) -> Any:
        """Return arguments with the part of the first run of each tensor, inside a loop over runs."""
        if isinstance(value, list):
            return [self._for_run(one) for one in value]
        if not isinstance(value, Pair):
            return value
        value = replace(value, private=value.memory in self._private)
        runs = self._translator.runs
        if self._of_run and len(value.shape) >= self._rank and value.shape[:1] == (runs,):
            return replace(value.changed(lambda tensor: tensor.narrow(0, 0, 1)), of_run=True)
        return value

    def _over_axis(self, axis: int) -> None:
        """Refuse an operation along the runs inside a loop over them."""
        if self._of_run and axis == 0:
            raise NotTranslated

    def translated(self) -> Elementwise | Lines:
        name = self._name.removesuffix("_")
        handler: Callable[[], Elementwise | Lines] | None = getattr(
            self, f"_of_{name.lstrip('_')}", None
        )
        if handler is not None:
            return handler()
        if name in _BINARY:
            return self._elementwise(_BINARY[name], self._arguments[:2])
        if name in _UNARY:
            return self._elementwise(_UNARY[name], self._arguments[:1])
        if name in _TRANSCENDENTAL and self._few():
            return self._elementwise(_TRANSCENDENTAL[name], self._arguments[:1])
        if name in _OF_GRADIENTS:
            return self._elementwise(_OF_GRADIENTS[name], self._arguments[:2])
        raise NotTranslated

    def _few(self) -> bool:
        return int(self._out.one.numel()) <= FEW

    # --- values -----------------------------------------------------------------------------------

    def _number(self, position: int | str, value: Any, kind: str) -> str:
        """Return a number that is an argument, as C++ has it."""
        if position in self._one.numbers:
            return f"({kind}){self._translator.number(self._one.numbers[position])}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NotTranslated
        if not math.isfinite(value):
            raise NotTranslated
        return f"({kind}){float(value)!r}"

    def _elementwise(self, form: str, given: Sequence[Any]) -> Elementwise:
        """Return an operation on each element of tensors and numbers."""
        read: list[Pair] = []
        places = []
        for position, value in enumerate(given):
            if isinstance(value, Pair):
                if value.kind != self._out.kind:
                    raise NotTranslated
                places.append(f"{{{len(read)}}}")
                read.append(self._broadcast(value))
            else:
                places.append(self._number(position, value, self._out.kind))
        return Elementwise(self._out, read, form.format(*places))

    def _broadcast(self, pair: Pair) -> Pair:
        try:
            return pair.expanded(self._out.shape)
        except RuntimeError:
            raise NotTranslated from None

    def _place(self, pair: Pair) -> str:
        return f"p{self._translator.slots.number(pair)}"

    # --- elementwise operations with more to them -------------------------------------------------

    def _scaled(self, sign: str) -> Elementwise:
        alpha = self._keywords.get("alpha", 1)
        if "alpha" in self._one.numbers:
            factor = self._number("alpha", alpha, self._out.kind) + " * "
        else:
            factor = "" if alpha == 1 else self._number("alpha", alpha, self._out.kind) + " * "
        return self._elementwise(f"{{0}} {sign} {factor}{{1}}", self._arguments[:2])

    def _of_add(self) -> Elementwise:
        return self._scaled("+")

    def _of_sub(self) -> Elementwise:
        return self._scaled("-")

    def _of_copy(self) -> Elementwise:
        return self._elementwise("{0}", self._arguments[1:2])

    def _of_pow(self) -> Elementwise:
        base, power = self._arguments[:2]
        if power != 2 or not isinstance(base, Pair) or 1 in self._one.numbers:
            raise NotTranslated
        return self._elementwise("{0} * {0}", [base])

    def _of_clamp_min(self) -> Elementwise:
        return self._elementwise("{1} > {0} ? {1} : {0}", self._arguments[:2])

    def _of_threshold(self) -> Elementwise:
        return self._elementwise("{0} <= {1} ? {2} : {0}", self._arguments[:3])

    def _of_threshold_backward(self) -> Elementwise:
        return self._elementwise("{1} <= {2} ? 0 : {0}", self._arguments[:3])

    # --- sums -------------------------------------------------------------------------------------

    def _of_sum(self) -> Lines:
        axes = self._arguments[1] if len(self._arguments) > 1 else None
        return self._reduced(axes, "{0}", "{0}")

    def _of_mean(self) -> Lines:
        axes = self._arguments[1] if len(self._arguments) > 1 else None
        x = self._arguments[0]
        count = x.one.numel() // self._out.one.numel()
        return self._reduced(axes, "{0}", f"{{0}} / {count}")

    def _of_linalg_vector_norm(self) -> Lines:
        order = self._arguments[1] if len(self._arguments) > 1 else 2
        if order != 2 or 1 in self._one.numbers:
            raise NotTranslated
        axes = self._arguments[2] if len(self._arguments) > 2 else None
        return self._reduced(axes, "{0} * {0}", "std::sqrt({0})")

    def _reduced(self, axes: Any, term: str, result: str) -> Lines:
        """Return a sum over some axes; all where ``axes`` is None."""
        x, out = self._arguments[0], self._out
        if not isinstance(x, Pair) or x.kind != out.kind or "dtype" in self._keywords:
            raise NotTranslated
        rank = len(x.shape)
        if axes is None or axes == []:
            axes = list(range(rank))
        summed = {axis % rank for axis in ([axes] if isinstance(axes, int) else axes)}
        if self._of_run and (0 in summed or not x.of_run):
            raise NotTranslated
        kept = [axis for axis in range(rank) if axis not in summed]
        shape = [size for axis, size in enumerate(out.shape)]
        its = list(out.strides)
        if len(shape) == rank:  # reduced axes were kept, of size 1
            its = [its[axis] for axis in kept]
        strides = [0] * rank
        for axis, stride in zip(kept, its, strict=True):
            strides[axis] = stride
        inner = min(
            (axis for axis in range(rank) if x.shape[axis] > 1),
            key=lambda axis: x.strides[axis],
            default=0,
        )
        source, target = self._place(x), self._place(out)
        if inner in summed:
            # Sums of many terms are taken in double precision: torch takes them pairwise.
            outer = merged(
                [x.shape[a] for a in kept],
                [[x.strides[a] for a in kept], [strides[a] for a in kept]],
            )
            order = sorted(summed)
            within = merged([x.shape[a] for a in order], [[x.strides[a] for a in order]])
            lines, (at, to) = nested(list(outer), ["a", "b"], "i")
            inside, (place,) = nested(list(within), ["c"], "k", vector="reduction(+:sum)")
            element = f"(double){source}[{at} + {place}]"
            return Lines(
                [
                    *lines,
                    "double sum = 0;",
                    *inside,
                    f"const double x = {element}; sum += {term.format('x')};",
                    "}" * len(inside),
                    f"{target}[{to}] = ({out.kind})({result.format('sum')});",
                    "}" * len(lines),
                ],
                out,
                [x],
            )
        if term != "{0}" or result != "{0}":
            raise NotTranslated
        zero, (to,) = nested(list(merged(out.shape, [out.strides])), ["b"], "i")
        loops = [(x.shape[a], (x.strides[a], strides[a])) for a in range(rank) if x.shape[a] > 1]
        loops.sort(key=lambda one: -abs(one[1][0]))
        lines, (at, place) = nested(loops or [(1, (0, 0))], ["a", "b"], "k", vector="")
        return Lines(
            [
                *zero,
                f"{target}[{to}] = 0;",
                "}" * len(zero),
                *lines,
                f"{target}[{place}] += {source}[{at}];",
                "}" * len(lines),
            ],
            out,
            [x],
        )

    # --- classes ----------------------------------------------------------------------------------

    def _of_log_softmax(self) -> Lines:
        x, axis, *_ = self._arguments
        out = self._out
        if not isinstance(x, Pair) or x.kind != out.kind or not self._few():
            raise NotTranslated
        axis %= len(x.shape)
        self._over_axis(axis)
        others = [a for a in range(len(x.shape)) if a != axis]
        loops = list(
            merged(
                [x.shape[a] for a in others],
                [[x.strides[a] for a in others], [out.strides[a] for a in others]],
            )
        )
        *outer, (width, inner) = loops
        if width > FEW:
            raise NotTranslated
        lines, (at, to) = nested(outer, ["a", "b"], "i")
        kind, classes = x.kind, x.shape[axis]
        step, its = x.strides[axis], out.strides[axis]
        each = f"INDEPENDENT for (int i = 0; i < {width}; ++i)"
        every = f"for (int c = 0; c < {classes}; ++c) {each}"
        source, target = f"s[c * {step} + i * {inner[0]}]", f"t[c * {its} + i * {inner[1]}]"
        return Lines(
            [
                *lines,
                f"const {kind} *s = {self._place(x)} + {at}; {kind} *t = {self._place(out)} + {to};",
                f"{kind} most[{width}], sum[{width}];",
                f"{each} {{ most[i] = s[i * {inner[0]}]; sum[i] = 0; }}",
                f"{every} most[i] = {source} > most[i] ? {source} : most[i];",
                f"{every} sum[i] += exponential({source} - most[i]);",
                f"{each} most[i] += logarithm(sum[i]);",
                f"{every} {target} = {source} - most[i];",
                "}" * len(lines),
            ],
            out,
            [x],
        )

    def _of_gather(self) -> Lines:
        x, axis, index = self._arguments[:3]
        return self._picked(x, axis % len(x.shape), index, index.strides)

    def _of_index_select(self) -> Lines:
        x, axis, index = self._arguments[:3]
        axis %= len(x.shape)
        if len(index.shape) != 1:
            raise NotTranslated
        along = [index.strides[0] if a == axis else 0 for a in range(len(x.shape))]
        return self._picked(x, axis, index, along)

    def _picked(self, x: Pair, axis: int, index: Pair, its: Sequence[int]) -> Lines:
        """Return a copy of the elements that an index has along an axis.

        Args:
            its: strides of the index in the shape of the result.
        """
        out = self._out
        if x.kind != out.kind or index.kind != "int64_t":
            raise NotTranslated
        self._over_axis(axis)
        without = [0 if a == axis else stride for a, stride in enumerate(x.strides)]
        loops = merged(out.shape, [without, its, out.strides])
        lines, (at, where, to) = nested(list(loops), ["a", "b", "c"], "i")
        return Lines(
            [
                *lines,
                f"{self._place(out)}[{to}] ="
                f" {self._place(x)}[{at} + {self._place(index)}[{where}] * {x.strides[axis]}];",
                "}" * len(lines),
            ],
            out,
            [x, index],
        )

    def _of_scatter_add(self) -> Lines:
        x, axis, index, source = self._arguments[:4]
        out = self._out
        if not x.same_place(out) or source.kind != out.kind or index.kind != "int64_t":
            raise NotTranslated
        axis %= len(x.shape)
        self._over_axis(axis)
        without = [0 if a == axis else stride for a, stride in enumerate(x.strides)]
        strides = [without, index.strides, source.strides]
        loops = merged(index.shape, strides)
        lines, (to, where, at) = nested(list(loops), ["a", "b", "c"], "i")
        return Lines(
            [
                *lines,
                f"{self._place(out)}[{to} + {self._place(index)}[{where}] * {x.strides[axis]}] +="
                f" {self._place(source)}[{at}];",
                "}" * len(lines),
            ],
            out,
            [index, source],
        )

    def _of_stack(self) -> Lines:
        parts = self._arguments[0]
        axis = self._arguments[1] if len(self._arguments) > 1 else 0
        axis %= len(self._out.shape)
        self._over_axis(0)
        lines: list[str] = []
        for number, part in enumerate(parts):
            if part.kind != self._out.kind:
                raise NotTranslated
            strides = [s for a, s in enumerate(self._out.strides) if a != axis]
            loops = list(merged(part.shape, [part.strides, strides]))
            opened, (at, to) = nested(loops, ["a", "b"], "i")
            begin = number * self._out.strides[axis]
            lines += [
                *opened,
                f"{self._place(self._out)}[{to} + {begin}] = {self._place(part)}[{at}];",
                "}" * len(opened),
            ]
        return Lines(lines, self._out, list(parts))

    # --- products ---------------------------------------------------------------------------------

    def _of_bmm(self) -> Lines:
        left, right = self._arguments[:2]
        return self._product(left, right, None)

    def _of_baddbmm(self) -> Lines:
        bias, left, right = self._arguments[:3]
        if any(self._keywords.get(name, 1) != 1 for name in ("alpha", "beta")):
            raise NotTranslated
        if {"alpha", "beta"} & set(self._one.numbers):
            raise NotTranslated
        return self._product(left, right, self._broadcast(bias))

    def _product(self, left: Pair, right: Pair, bias: Pair | None) -> Lines:
        if self._of_run and not (left.of_run and right.of_run):
            raise NotTranslated
        every = [self._out, left, right, *([bias] if bias else [])]
        kinds = {one.kind for one in every}
        if len(self._out.shape) != 3 or len(kinds) > 1 or not kinds <= {"float", "double"}:
            raise NotTranslated
        if products.multiplications(self._out, left) > products.LARGEST:
            raise NotTranslated

        def written_to(out: Pair) -> Lines:
            every[0] = out
            places = [self._translator.slots.number(one) for one in every]
            numbers = places[0], places[1], places[2], places[-1]
            lines = products.product(out, left, right, bias, numbers)
            return Lines(lines, out, every[1:], written_to)

        return written_to(self._out)
