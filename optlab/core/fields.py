"""Fields: hyperparameters with everything that the command line and the window show about them.

A field is declared once, as a typed class attribute of a :class:`FieldSet`, with its label, symbol,
default, bounds, scale, unit and help. Validation, forms, command-line flags, pages and sweep axes
all read that one declaration::

    class Momentum(Optimizer):
        lr: float = number(0.01, "Learning rate", symbol="ε", gt=0.0, log=True, slider=(1e-5, 10.0))
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import pydantic
from annotated_types import Ge, Gt, Le

from optlab.core.errors import InvalidInput

Kind = Literal["number", "integer", "flag", "choice", "sizes", "numbers", "names", "text"]

OnlyIf = tuple[str, tuple[Any, ...]]
"""Another field, and the values of it with which a field has an effect."""

StepUnit = Literal["steps", "epochs"]
"""What a number of steps counts: updates, or passes through the training set."""
STEPS_OR_EPOCHS = "steps or epochs"
"""Unit of the fields that count what the field ``unit`` of their section says."""

MAX_SIZE = 65_536
"""Units that a layer may have: more is a typing error, and would exhaust memory before the first
step.
"""
MAX_WHOLE = 10**12
"""Largest whole number of a field that declares no bound of its own: a run of so many steps takes
years, and what is larger still overflows in the arithmetic of steps.
"""


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Sizes = Annotated[tuple[Annotated[int, Ge(1), Le(MAX_SIZE)], ...], pydantic.BeforeValidator(_tuple)]
"""A sequence of layer sizes; TOML arrays arrive as lists."""
Numbers = Annotated[
    tuple[Annotated[float, Gt(0.0), pydantic.AllowInfNan(False)], ...],
    pydantic.BeforeValidator(_tuple),
]
"""A sequence of positive numbers."""
Texts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_tuple)]
"""A sequence of names."""


@dataclass(frozen=True)
class Field:
    """The declaration of one hyperparameter.

    Attributes:
        name: key in files and flags.
        kind: type of its values, which determines its editor.
        default: value if none is given.
        label: text beside the editor. symbol: letter in the notes, or "".
        help: one or two sentences. why: reason for the default.
        unit: unit of the number, or "".
        ge, le: inclusive bounds. gt, lt: exclusive bounds. None if there is no bound.
        log: whether its natural scale is logarithmic.
        slider: range of the slider in an editor; typed values may leave it.
        choices: allowed texts of a ``choice``.
        live: whether it can be changed during a run, though not all of its section can.
        only_if: name of another field of the set, and the values of it with which this field has an
            effect; None if it always has one.
    """

    name: str
    kind: Kind
    default: Any
    label: str
    symbol: str = ""
    help: str = ""
    why: str = ""
    unit: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    log: bool = False
    slider: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    only_if: OnlyIf | None = None

    def in_use(self, values: Mapping[str, Any]) -> bool:
        """Return whether the field has an effect beside these values of its set."""
        return self.only_if is None or values[self.only_if[0]] in self.only_if[1]

    @property
    def allowed(self) -> str:
        """Return which values are allowed, to complete the sentence "it must be …"."""
        if self.kind == "flag":
            return "true or false"
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "sizes":
            return f"a list of whole numbers from 1 to {MAX_SIZE}"
        if self.kind == "numbers":
            return "a list of positive numbers"
        if self.kind == "names":
            return "a list of names"
        if self.kind == "text":
            return "a text"
        noun = "a number" if self.kind == "number" else "a whole number"
        limits = [
            ("at least", self.ge),
            ("above", self.gt if self.ge is None else None),
            ("at most", self.le),
            ("below", self.lt if self.le is None else None),
        ]
        bounds = " and ".join(
            f"{word} {self._limit(limit)}" for word, limit in limits if limit is not None
        )
        return f"{noun} {bounds}".rstrip()

    def _limit(self, limit: float) -> str:
        """Return a bound as text; a large whole number has all of its digits."""
        large = self.kind == "integer" and limit >= 1_000_000
        return f"{int(limit):,}" if large else f"{limit:g}"

    def parse(self, text: str) -> Any:
        """Return the value of a typed text (of a flag, or of a form).

        The field set checks its bounds.

        Raises:
            ValueError: the text is not of this field's kind.
            KeyError: the text is neither true nor false.
        """
        text = text.strip()
        if self.kind == "number":
            return float(text)
        if self.kind == "integer":
            try:
                return int(text)
            except ValueError:
                number = float(text)  # accept 1e6
            if not number.is_integer():
                raise ValueError(text)
            return int(number)
        if self.kind == "flag":
            return {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }[text.lower()]
        if self.kind in ("sizes", "numbers", "names"):
            items = [item for item in _listed(text) if item]
            return tuple(_ITEMS[self.kind](item) for item in items)
        return text


_ITEMS: Mapping[str, Callable[[str], Any]] = {"sizes": int, "numbers": float, "names": str}
"""Kind of a list → what converts the text of an item."""


_ITEM = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^,]*))\s*(?:,|\Z)""")
"""An item of a list: between quotes, or up to the next comma."""


def _listed(text: str) -> list[str]:
    """Return the items of a list that is typed, with or without brackets and quotes.

    A comma between quotes belongs to its item, and so does a quote that is doubled there.
    """
    if len(text) > 1 and (text[0], text[-1]) in (("[", "]"), ("(", ")")):
        text = text[1:-1]
    return [
        double.replace('""', '"') or single.replace("''", "'") or plain.strip()
        for double, single, plain in _ITEM.findall(text)
    ]


def listed_text(items: Iterable[object]) -> str:
    """Return items as text from which :meth:`Field.parse` gives the same list."""
    return ", ".join(
        item if _PLAIN.fullmatch(item) else '"' + item.replace('"', '""') + '"'
        for item in map(str, items)
    )


_PLAIN = re.compile(r"[^\s\"'\[(,](?:[^,]*[^\s,])?")
"""An item that needs no quotes."""


def _declare(default: Any, extra: Mapping[str, Any], **constraints: Any) -> Any:
    return pydantic.Field(default=default, json_schema_extra={"field": dict(extra)}, **constraints)


def number(
    default: float,
    label: str,
    *,
    symbol: str = "",
    help: str = "",
    why: str = "",
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    log: bool = False,
    slider: tuple[float, float] | None = None,
    only_if: OnlyIf | None = None,
) -> Any:
    """Declare a finite real number."""
    extra = dict(
        label=label,
        symbol=symbol,
        help=help,
        why=why,
        unit=unit,
        log=log,
        slider=slider,
        only_if=only_if,
    )
    return _declare(default, extra, ge=ge, gt=gt, le=le, lt=lt, allow_inf_nan=False)


def integer(
    default: int,
    label: str,
    *,
    symbol: str = "",
    help: str = "",
    why: str = "",
    unit: str = "",
    ge: int | None = None,
    le: int = MAX_WHOLE,
    log: bool = False,
    slider: tuple[float, float] | None = None,
    live: bool = False,
    only_if: OnlyIf | None = None,
) -> Any:
    """Declare a whole number."""
    extra = dict(
        label=label,
        symbol=symbol,
        help=help,
        why=why,
        unit=unit,
        log=log,
        slider=slider,
        live=live,
        only_if=only_if,
    )
    return _declare(default, extra, ge=ge, le=le)


def flag(default: bool, label: str, *, help: str = "", why: str = "") -> Any:
    """Declare a field that is true or false."""
    return _declare(default, dict(label=label, help=help, why=why))


def choice(
    default: str,
    label: str,
    *,
    symbol: str = "",
    help: str = "",
    why: str = "",
    only_if: OnlyIf | None = None,
) -> Any:
    """Declare a choice among the texts in the ``Literal`` of the annotation."""
    return _declare(default, dict(label=label, symbol=symbol, help=help, why=why, only_if=only_if))


def step_unit() -> Any:
    """Declare what the fields with the unit :data:`STEPS_OR_EPOCHS` count."""
    return choice(
        "steps",
        "Counts",
        help="Whether the numbers of steps in this section are updates, or epochs: passes through "
        "the training set.",
        why="Epochs compare batch sizes at equal numbers of examples, steps at equal numbers of "
        "updates.",
    )


def sizes(
    default: tuple[int, ...], label: str, *, help: str = "", why: str = "", unit: str = ""
) -> Any:
    """Declare a list of layer sizes (annotate with :data:`Sizes`)."""
    return _declare(default, dict(label=label, help=help, why=why, unit=unit))


def numbers(default: tuple[float, ...], label: str, *, help: str = "") -> Any:
    """Declare a list of positive numbers (annotate with :data:`Numbers`)."""
    return _declare(default, dict(label=label, help=help))


def text(default: str, label: str, *, help: str = "", longest: int = 200) -> Any:
    """Declare a text of at most ``longest`` characters."""
    return _declare(default, dict(label=label, help=help), max_length=longest)


def names(default: tuple[str, ...], label: str, *, help: str = "") -> Any:
    """Declare a list of names (annotate with :data:`Texts`)."""
    return _declare(default, dict(label=label, help=help))


class FieldSet(pydantic.BaseModel):
    """An immutable, validated set of fields."""

    # Build validators at first use: building those of the entire catalogue would delay the window.
    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, defer_build=True
    )

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """Return the declared fields, in order of declaration."""
        return _fields(cls)

    @classmethod
    def field(cls, name: str) -> Field:
        """Return the declared field ``name``.

        Raises:
            KeyError: there is no such field.
        """
        return {field.name: field for field in cls.fields()}[name]

    @classmethod
    def build(cls, values: Mapping[str, Any], where: str) -> Self:
        """Return an instance with ``values``.

        Args:
            values: field name → value; omitted fields take their defaults.
            where: dotted path of this set in the experiment, for messages (``"optimizer"``; "" at
                the top).

        Raises:
            InvalidInput: a value is not allowed or a key is unknown; the message names the field,
                the value and what is allowed.
        """
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise cls._explain(error, values, where) from None

    @classmethod
    def _explain(
        cls, error: pydantic.ValidationError, values: Mapping[str, Any], where: str
    ) -> InvalidInput:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        path = f"{where}.{name}" if where else name
        known = [field.name for field in cls.fields()]
        if first["type"] == "extra_forbidden":
            owner = f"{where} ({cls.model_fields_owner()})" if where else "an experiment"
            hint = did_you_mean(name, known)
            listing = ", ".join(known) if known else "none"
            return InvalidInput(
                f"{path} is not a field of {owner}{hint}; its fields are: {listing}.", path
            )
        if name in known:
            return InvalidInput(
                f"{path} is {shown(values.get(name))}, but it must be {cls.field(name).allowed}.",
                path,
            )
        message = str(first["msg"]).removeprefix("Value error, ")
        return InvalidInput(f"{where}: {message}" if where else message, where)

    @classmethod
    def model_fields_owner(cls) -> str:
        """Return the name of the owner of these fields, for messages."""
        return str(getattr(cls, "name", cls.__name__.lower()))

    def in_steps(self, steps_per_epoch: int) -> Self:
        """Return the same values with all epochs converted to steps.

        Args:
            steps_per_epoch: steps of a pass through the training set, the last batch included.
        """
        if getattr(self, "unit", "steps") != "epochs":
            return self
        counted = {
            field.name: getattr(self, field.name) * steps_per_epoch
            for field in self.fields()
            if field.unit == STEPS_OR_EPOCHS
        }
        return self.model_copy(update={**counted, "unit": "steps"})

    def values(self) -> dict[str, Any]:
        """Return field name → value, in order of declaration, tuples as lists (for TOML)."""
        return {
            f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v
            for f in self.fields()
        }


@functools.cache
def _fields(cls: type[FieldSet]) -> tuple[Field, ...]:
    return tuple(_read(name, info) for name, info in cls.model_fields.items())


def _read(name: str, info: pydantic.fields.FieldInfo) -> Field:
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or "field" not in extra:
        raise TypeError(
            f"field {name!r} is declared without number(), integer(), flag(), choice(), sizes(), "
            "numbers(), text() or names()"
        )
    bounds: dict[str, Any] = {}
    for constraint in info.metadata:
        for bound in ("ge", "gt", "le", "lt"):
            if getattr(constraint, bound, None) is not None:
                bounds[bound] = getattr(constraint, bound)
    kind, choices = _kind(info)
    declared = typing.cast("dict[str, Any]", extra["field"])
    return Field(name=name, kind=kind, default=info.default, choices=choices, **bounds, **declared)


def _kind(info: pydantic.fields.FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    annotation = info.annotation
    if typing.get_origin(annotation) is Literal:
        return "choice", tuple(typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        item = typing.get_args(annotation)[0]
        item = typing.get_args(item)[0] if typing.get_origin(item) is Annotated else item
        lists: dict[Any, Kind] = {str: "names", int: "sizes", float: "numbers"}
        return lists[item], ()
    kinds: dict[Any, Kind] = {bool: "flag", int: "integer", float: "number", str: "text"}
    return kinds[annotation], ()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean x?)"`` if a known name is close, else ""."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def shown(value: object, longest: int = 60) -> str:
    """Return a value as messages show it: short, on one line, numbers as they were typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = repr(value).replace("\n", " ")
    except (ValueError, RecursionError):  # a whole number of more digits than Python writes out
        return "a value too long to show"
    return text if len(text) <= longest else text[: longest - 1] + "…"
