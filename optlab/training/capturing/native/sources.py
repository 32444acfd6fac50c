"""The operations of a step as bodies of C++ functions.

Runs do not depend on one another, so that a loop over them executes many operations for one run
before the next: what is computed on the way then stays in the cache nearest to the core.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence

from optlab.training.capturing.arena import Span, placed
from optlab.training.capturing.native import products
from optlab.training.capturing.native.loops import Elementwise, Lines, element_loops, joins
from optlab.training.capturing.native.operands import Pair, Planned, Slots, extent
from optlab.training.capturing.native.translation import NotTranslated, Translator

HEAD = f"""#include <cmath>
#include <cstdint>
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__clang__)
// The library has these for many numbers at once, with errors of up to four units in the last place.
extern "C" {{
__attribute__((__simd__("notinbranch"))) float expf(float) noexcept;
__attribute__((__simd__("notinbranch"))) double exp(double) noexcept;
__attribute__((__simd__("notinbranch"))) float logf(float) noexcept;
__attribute__((__simd__("notinbranch"))) double log(double) noexcept;
#if __GLIBC_PREREQ(2, 35)
__attribute__((__simd__("notinbranch"))) float tanhf(float) noexcept;
__attribute__((__simd__("notinbranch"))) double tanh(double) noexcept;
#endif
}}
#endif
#define INDEPENDENT _Pragma("omp simd")
#if defined(__SSE__)
// Numbers below the smallest normal one are slow to compute with: they count as zero.
#define BEGIN const unsigned mode = __builtin_ia32_stmxcsr(); __builtin_ia32_ldmxcsr(mode | 0x8040u);
#define END __builtin_ia32_ldmxcsr(mode);
#else
#define BEGIN
#define END
#endif
// Results below the smallest normal number are slow to compute: they are that number here.
static inline float exponential(float x) {{ return expf(x < -87.3f ? -87.3f : x); }}
static inline double exponential(double x) {{ return exp(x < -708.3 ? -708.3 : x); }}
static inline float logarithm(float x) {{ return logf(x); }}
static inline double logarithm(double x) {{ return log(x); }}
static inline float tangent(float x) {{ return tanhf(x); }}
static inline double tangent(double x) {{ return tanh(x); }}
{products.HEADER}
"""

Couple = tuple[Planned, Planned]
"""An operation on the memory of either side."""
Operation = Elementwise | Lines


class Body:
    """Lines of one function.

    Args:
        slots: the pointers of the step.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._lines: list[str] = []

    def add_plain(self, operations: Sequence[Operation]) -> None:
        """Add operations for all runs, one after the other."""
        lines = [line for unit in _units(operations) for line in self._lines_of(unit)]
        self._lines += ["{", *self._pointers(lines, {}), *lines, "}"]

    def add_runs(self, operations: Sequence[Operation]) -> None:
        """Add operations for one run, and then for the next."""
        units = _units(operations)
        written = [self._lines_of(unit) for unit in units]
        lines = [line for its in written for line in its]
        used = [[self._slots.all[number] for number in _numbers(its)] for its in written]
        offsets, total = placed(_spans(used))
        scratch = (
            [f"static thread_local char scratch[{total}] __attribute__((aligned(64)));"]
            if total
            else []
        )
        self._lines += [
            "{",
            *scratch,
            "for (int64_t at = 0; at < count; ++at) {",
            "const int64_t run = runs[at];",
            "(void)run;",
            *self._pointers(lines, offsets),
            *lines,
            "}",
            "}",
        ]

    def source(self, name: str) -> str:
        """Return the function.

        Its arguments are a table of addresses, the numbers that differ from step to step, and the
        runs that a loop over them is for: others may be left out.
        """
        head = (
            f'extern "C" void {name}(char *const *p, const double *n, const int64_t *runs,'
            " int64_t count) {"
        )
        begin = ["(void)n;", "(void)runs;", "(void)count;", "BEGIN"]
        return "\n".join([head, *begin, *self._lines, "END", "}", ""])

    def _lines_of(self, unit: Sequence[Operation]) -> list[str]:
        first = unit[0]
        if isinstance(first, Lines):
            return first.lines
        return element_loops([one for one in unit if isinstance(one, Elementwise)], self._slots)

    def _pointers(self, lines: Sequence[str], offsets: Mapping[int, int]) -> list[str]:
        """Return declarations of the pointers that some lines use."""
        found = []
        for number in _numbers(lines):
            pair = self._slots.all[number]
            kind = pair.kind
            if pair.private:
                begin = offsets[pair.memory] + pair.offset * pair.one.element_size()
                at = f"({kind} *)(scratch + {begin})"
            else:
                at = f"({kind} *)p[{number}]" + (f" + run * {pair.step}" if pair.step else "")
            found.append(f"{kind} *const p{number} = {at};")
        return found


def _numbers(lines: Sequence[str]) -> list[int]:
    """Return the numbers of the pointers that some lines use."""
    return sorted({int(place) for line in lines for place in re.findall(r"\bp(\d+)\b", line)})


def _units(operations: Sequence[Operation]) -> list[list[Operation]]:
    """Return what is executed at once: one operation, or some in one loop over elements."""
    units: list[list[Operation]] = []
    for one in operations:
        last = units[-1] if units else []
        group = [its for its in last if isinstance(its, Elementwise)]
        if isinstance(one, Elementwise) and group and joins(group, one):
            last.append(one)
        else:
            units.append([one])
    return units


def _spans(used: Sequence[Sequence[Pair]]) -> dict[int, Span]:
    """Return private memory → its bytes for one run, and the units that need it.

    Args:
        used: the tensors that each unit uses.
    """
    spans: dict[int, Span] = {}
    for unit, pairs in enumerate(used):
        for pair in pairs:
            if pair.private:
                size = pair.step * pair.one.element_size()
                first = spans[pair.memory].first if pair.memory in spans else unit
                spans[pair.memory] = Span(size, first, unit)
    return spans


def bodies(
    translator: Translator,
    one: Sequence[Planned],
    other: Sequence[Planned],
    spans: Mapping[int, Span],
) -> list[Body | Couple]:
    """Return functions, and operations that are left to torch, in their order.

    Args:
        one, other: operations on the memory of either side. spans: memory that steps share → the
            first and the last operation that need it.
    """
    found: list[Body | Couple] = []
    body: Body | None = None
    for way, group in itertools.groupby(
        zip(one, other, strict=True), lambda couple: _way(translator, couple)
    ):
        couples = list(group)
        if way is None:
            found += couples
            body = None
            continue
        if body is None:
            body = Body(translator.slots)
            found.append(body)
        if way == "run":
            _add_runs(body, translator, couples, spans)
        else:
            body.add_plain([translator.translated(*couple, of_run=False) for couple in couples])
    return found


def _way(translator: Translator, couple: Couple) -> str | None:
    """Return how an operation is translated: for one run, for all runs, or not (None)."""
    for way in ("run", "all"):
        try:
            found = translator.translated(*couple, of_run=way == "run")
        except NotTranslated:
            continue
        if isinstance(found, Lines) or joins([], found):
            return way
    return None


def _add_runs(
    body: Body, translator: Translator, couples: Sequence[Couple], spans: Mapping[int, Span]
) -> None:
    """Add operations that follow one another in as few loops over the runs as possible."""
    private = _private(translator, couples, spans)
    operations = _without_copies(
        [translator.translated(*couple, of_run=True, private=private) for couple in couples]
    )
    if len(couples) == 1 or _rows_apart(operations, translator.runs):
        body.add_runs(operations)
        return
    # What one run leaves in memory lies where another one still reads.
    half = len(couples) // 2
    for part in (couples[:half], couples[half:]):
        _add_runs(body, translator, part, spans)


def _without_copies(operations: Sequence[Operation]) -> list[Operation]:
    """Let products write where their results are copied to, if nothing else needs them."""
    kept: list[Operation] = []
    for number, one in enumerate(operations):
        before = kept[-1] if kept else None
        if (
            isinstance(one, Elementwise)
            and one.text == "{0}"
            and isinstance(before, Lines)
            and before.written_to is not None
            and before.out.private
            and one.read[0].same_place(before.out)
            and not any(
                before.out.memory == pair.memory
                for other in operations[number + 1 :]
                for pair in other.read
            )
        ):
            kept[-1] = before.written_to(one.out)
        else:
            kept.append(one)
    return kept


def _rows_apart(operations: Sequence[Operation], runs: int) -> bool:
    """Return whether what one run writes is not what another run uses."""
    pairs = [pair for one in operations for pair in one.tensors if not pair.private]
    written = [one.out for one in operations if not one.out.private]
    return runs == 1 or all(_apart(out, pair, runs) for out in written for pair in pairs)


def _apart(out: Pair, pair: Pair, runs: int) -> bool:
    for mine, its in ((out.one, pair.one), (out.other, pair.other)):
        width = mine.element_size()
        low, high = extent(mine)
        its_low, its_high = extent(its)
        rest = (runs - 1) * width
        all_high, its_all_high = high + rest * out.step, its_high + rest * pair.step
        if all_high <= its_low or its_all_high <= low:
            continue
        if out.step != pair.step or its.element_size() != width:
            return False
        if max(high, its_high) - min(low, its_low) > out.step * width:
            return False
    return True


def _private(
    translator: Translator, couples: Sequence[Couple], spans: Mapping[int, Span]
) -> Collection[int]:
    """Return the memory that only a group of operations needs, one run after the other."""
    first, last = couples[0][0].number, couples[-1][0].number
    pairs = [
        pair for couple in couples for pair in translator.translated(*couple, of_run=True).tensors
    ]
    private = {
        pair.memory
        for pair in pairs
        if pair.memory in spans
        and first <= spans[pair.memory].first
        and spans[pair.memory].last <= last
    }
    for pair in pairs:
        # The part of a run is where its number says, and as large as that of any other.
        width = pair.one.element_size()
        whole = pair.step * translator.runs * width
        low, high = extent(pair.one)
        fits = pair.offset * width + high - low <= pair.step * width
        if pair.memory in private and not (
            pair.of_run and fits and whole == spans[pair.memory].size
        ):
            private.discard(pair.memory)
    return private
