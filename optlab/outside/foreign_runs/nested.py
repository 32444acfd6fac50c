"""Numbers in nested JSON objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from optlab.outside.foreign_runs.records import number, step_of

STEPS = ("step", "global_step", "_step", "iteration", "iter", "it", "batch", "epoch")
"""Names of what counts steps, as programs write it, the finest first."""
_MAX_DEPTH = 8


def numbers_in(
    document: Mapping[str, object], before: str = "", depth: int = 0
) -> Iterator[tuple[str, float]]:
    """Yield the numbers of an object with their names; those of inner objects as ``outer.inner``."""
    for name, value in document.items():
        whole = f"{before}{name}"
        if isinstance(value, Mapping):
            if depth < _MAX_DEPTH:
                yield from numbers_in(value, f"{whole}.", depth + 1)
        elif (found := number(value)) is not None:
            yield whole, found


def step_name(names: object) -> str | None:
    """Return which of some names counts the steps; None for none."""
    cleaned = {
        str(name).strip().lower(): str(name) for name in (names if isinstance(names, list) else ())
    }
    return next((cleaned[name] for name in STEPS if name in cleaned), None)


def step_in(document: Mapping[str, object]) -> tuple[str, int] | None:
    """Return name and value of what counts the steps in an object; None without one."""
    name = step_name([name for name, value in document.items() if step_of(value) is not None])
    step = None if name is None else step_of(document[name])
    return None if name is None or step is None else (name, step)
