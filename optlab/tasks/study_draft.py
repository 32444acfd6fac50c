"""A study file that is being written: from what a form says to the text of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import tomli_w

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.fields import FieldSet
from optlab.experiment import Experiment, presets
from optlab.studies.comparison.fields import Decision, Measured, Seeds

Base = str | Mapping[str, Any]
"""Name of a preset, path of a file, or the tables of an experiment."""

_NAME = re.compile(r"[^<>~!=,\[\]\"'\n]{1,60}")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class DraftArm:
    """An arm: ``changes`` (path → value) of ``base``, by default that of the study."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    base: Base | None = None


@dataclass(frozen=True)
class DraftTuning:
    """A field that every arm tunes.

    Attributes:
        path: of the field. low, high, points, scale: its values. by: series that decides.
        seeds: runs of each setting. each: whether every seed that decides has a setting of its own.
    """

    path: str
    low: float
    high: float
    points: int
    scale: str = "log"
    by: str = "validation_loss"
    seeds: int = 1
    each: bool = False


@dataclass(frozen=True)
class Draft:
    """What a form says of a study.

    Attributes:
        question: for people. base: what arms change. arms: of the comparison. seeds, measure,
            decide: fields of the sections; those at their defaults are not written.
        tuning: None where nothing is tuned.
    """

    question: str
    base: Base
    arms: Sequence[DraftArm]
    seeds: Mapping[str, Any]
    measure: Mapping[str, Any]
    decide: Mapping[str, Any]
    tuning: DraftTuning | None = None


def text_of(draft: Draft) -> str:
    """Return the text of the file.

    Raises:
        InvalidInput: an arm has no name, one that cannot stand in a statement, or one twice.
    """
    return "\n".join(_parts(draft)) + "\n"


def _parts(draft: Draft) -> Iterator[str]:
    check_names([arm.name for arm in draft.arms])
    yield _line("question", draft.question)
    base = shortest(draft.base)
    if isinstance(base, str):
        yield _line("base", base)
    for arm in draft.arms:
        yield ""
        yield tomli_w.dumps({"arms": {arm.name: {}}}).strip()
        own = None if arm.base is None else shortest(arm.base)
        if isinstance(own, str):
            yield _line("base", own)
        for path, value in arm.changes.items():
            yield _line(path, value)
        if isinstance(own, Mapping):
            yield ""
            yield tomli_w.dumps({"arms": {arm.name: {"base": own}}}).strip()
    for key, kind, values in (
        ("seeds", Seeds, draft.seeds),
        ("measure", Measured, draft.measure),
        ("decide", Decision, draft.decide),
    ):
        if key == "measure" and draft.tuning is not None:
            yield from _tuning_lines(draft.tuning)
        yield ""
        yield f"[{key}]"
        for name, value in _changed(kind, values).items():
            yield _line(name, value)
    if isinstance(base, Mapping):
        yield ""
        yield tomli_w.dumps({"base": base}).strip()


def _tuning_lines(tuning: DraftTuning) -> Iterator[str]:
    yield ""
    yield "[tune]"
    yield (
        f'"{tuning.path}" = {{ from = {_value(tuning.low)}, to = {_value(tuning.high)}, '
        f"points = {tuning.points}, scale = {_value(tuning.scale)} }}"
    )
    yield _line("by", tuning.by)
    if tuning.seeds != 1:
        yield _line("seeds", tuning.seeds)
    if tuning.each:
        yield _line("each", tuning.each)


def _changed(kind: type[FieldSet], values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {one.name: one.default for one in kind.fields()}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _line(key: str, value: Any) -> str:
    return f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
        return f"{{ {inner} }}"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def check_names(names: Sequence[str]) -> None:
    """Check that names of arms can stand in a statement.

    Raises:
        InvalidInput: one is empty, too long, stands twice or has a sign of a statement; its
            ``field`` is ``arms`` and the number of the arm.
    """
    for number, name in enumerate(names):
        where = f"arms.{number}"
        if not name.strip():
            raise InvalidInput("The arm has no name; give one, such as adam.", where)
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"The name {name[:60]!r} cannot stand in a statement; use letters, digits, spaces "
                "and hyphens.",
                where,
            )
        if name in names[:number]:
            raise InvalidInput(f"Two arms are called {name!r}; give one another name.", where)


def read_changes(text: str) -> dict[str, Any]:
    """Return path → value of changes as they are typed: ``optimizer.name = adam, optimizer.lr = 0.1``.

    A value is one of TOML; a text needs no quotes.

    Raises:
        InvalidInput: a part is no change.
    """
    changes: dict[str, Any] = {}
    for part in _split(text):
        path, equals, written = (piece.strip() for piece in part.partition("="))
        if not equals or not _PATH.fullmatch(path) or not written:
            raise InvalidInput(
                f"'{part.strip()[:60]}' is no change; write a field and its value, such as "
                "optimizer.lr = 0.01, and a comma between two.",
                "changes",
            )
        changes[path] = _read_value(path, written)
    return changes


def changes_text(changes: Mapping[str, Any]) -> str:
    """Return changes as they are typed, which :func:`read_changes` reads again."""
    return ", ".join(f"{path} = {_typed(value)}" for path, value in changes.items())


def _typed(value: Any) -> str:
    plain = isinstance(value, str) and _WORD.fullmatch(value) and value not in _TOML_WORDS
    return str(value) if plain else _value(value)


_TOML_WORDS = ("true", "false", "inf", "nan")


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas and line ends that stand in no brackets or quotes."""
    depth, quote, part = 0, "", ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign in ",\n" and depth <= 0:
            if part.strip():
                yield part
            part = ""
            continue
        part += sign
    if part.strip():
        yield part


def _read_value(path: str, written: str) -> Any:
    try:
        return toml.parse(f"x = {written}")["x"]
    except toml.TOMLProblem:
        if _WORD.fullmatch(written):
            return written
        raise InvalidInput(
            f"{path} = {written[:60]} has no value that TOML knows; write a number, true, false, a "
            "text in quotes, or a list in [brackets].",
            "changes",
        ) from None


@cache
def _presets() -> dict[str, dict[str, Any]]:
    found = {path.stem: Experiment.load(path, check=False) for path in presets.files()}
    return {name: experiment.to_dict() for name, experiment in found.items()}


def shortest(base: Base) -> Base:
    """Return the shortest base that is the same: the name of a preset with these tables, if any."""
    if isinstance(base, str):
        return base
    return next((name for name, tables in _presets().items() if tables == base), base)
