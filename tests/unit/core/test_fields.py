"""Fields: one declaration that validates, explains and parses."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.core.errors import InvalidInput
from optlab.core.fields import (
    FieldSet,
    Numbers,
    Sizes,
    Texts,
    choice,
    did_you_mean,
    flag,
    integer,
    listed_text,
    names,
    number,
    numbers,
    shown,
    sizes,
    text,
)


class Sample(FieldSet):
    """All kinds."""

    rate: float = number(
        0.1,
        "Rate",
        symbol="ε",
        gt=0.0,
        le=2.0,
        log=True,
        slider=(0.01, 1.0),
        unit="1/s",
        help="A rate.",
        why="It fits.",
    )
    share: float = number(0.5, "Share", ge=0.0, lt=1.0)
    count: int = integer(3, "Count", ge=1, le=9)
    on: bool = flag(True, "On")
    form: Literal["a", "b"] = choice("a", "Form")
    hidden: Sizes = sizes((4, 2), "Hidden")
    title: str = text("", "Title", longest=5)
    chosen: Texts = names((), "Chosen")
    weights: Numbers = numbers((), "Weights")


def build(**values: Any) -> Sample:
    return Sample.build(values, "sample")


def test_that_a_field_carries_everything_that_was_declared() -> None:
    field = Sample.field("rate")
    assert (field.kind, field.default, field.label, field.symbol, field.unit) == (
        "number",
        0.1,
        "Rate",
        "ε",
        "1/s",
    )
    assert (field.gt, field.le, field.ge, field.lt) == (0.0, 2.0, None, None)
    assert (field.log, field.slider, field.help, field.why) == (
        True,
        (0.01, 1.0),
        "A rate.",
        "It fits.",
    )
    assert Sample.field("form").choices == ("a", "b")
    assert [f.name for f in Sample.fields()] == [
        "rate",
        "share",
        "count",
        "on",
        "form",
        "hidden",
        "title",
        "chosen",
        "weights",
    ]
    assert [f.kind for f in Sample.fields()] == [
        "number",
        "number",
        "integer",
        "flag",
        "choice",
        "sizes",
        "text",
        "names",
        "numbers",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rate", "a number above 0 and at most 2"),
        ("share", "a number at least 0 and below 1"),
        ("count", "a whole number at least 1 and at most 9"),
        ("on", "true or false"),
        ("form", "one of a, b"),
        ("hidden", "a list of whole numbers from 1 to 65536"),
        ("title", "a text"),
        ("chosen", "a list of names"),
        ("weights", "a list of positive numbers"),
    ],
)
def test_that_what_is_allowed_is_said_in_words(name: str, words: str) -> None:
    assert Sample.field(name).allowed == words


def test_that_bounds_of_whole_numbers_have_all_their_digits() -> None:
    field = dataclasses.replace(Sample.field("count"), ge=0, le=2**63 - 1)
    assert field.allowed == "a whole number at least 0 and at most 9,223,372,036,854,775,807"
    assert dataclasses.replace(Sample.field("rate"), le=1e12).allowed.endswith("at most 1e+12")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 0.0),
        ("rate", 2.1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "0.1"),
        ("rate", True),
        ("share", 1.0),
        ("count", 0),
        ("count", 2.0),
        ("on", 1),
        ("form", "c"),
        ("hidden", [4, 0]),
        ("hidden", [10**6]),
        ("title", "too long"),
        ("chosen", "one"),
    ],
)
def test_that_a_wrong_value_is_refused_with_its_path_and_what_is_allowed(
    name: str, value: object
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        build(**{name: value})
    assert (
        str(refusal.value)
        == f"sample.{name} is {shown(value)}, but it must be {Sample.field(name).allowed}."
    )
    assert refusal.value.field == f"sample.{name}"


def test_that_an_unknown_field_is_refused_with_the_nearest_and_all_known() -> None:
    with pytest.raises(InvalidInput) as refusal:
        build(rat=1.0)
    assert (
        "sample.rat is not a field of sample (sample) (did you mean rate?); its fields are: rate, "
        "share," in str(refusal.value)
    )


def test_that_whole_numbers_are_numbers_and_lists_are_tuples() -> None:
    built = build(rate=1, hidden=[7, 8], chosen=["a", "b"])
    assert built.rate == 1.0
    assert built.hidden == (7, 8)
    assert built.values()["hidden"] == [7, 8]
    assert build(**built.values()) == built


def test_that_a_set_of_fields_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError):
        build().rate = 0.2


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("rate", " 1e-3 ", 0.001),
        ("count", "1e1", 10),
        ("on", "Yes", True),
        ("on", "off", False),
        ("hidden", "[3, 4,]", (3, 4)),
        ("hidden", "", ()),
        ("chosen", "a.b[1] , 'c'", ("a.b[1]", "c")),
        ("chosen", '\'a, b\', c"d, "e, ""f"""', ("a, b", 'c"d', 'e, "f"')),
        ("weights", "[1, 2.5]", (1.0, 2.5)),
        ("title", "x", "x"),
    ],
)
def test_that_typed_text_is_read(name: str, typed: str, value: object) -> None:
    assert Sample.field(name).parse(typed) == value


@pytest.mark.parametrize(
    ("name", "typed"), [("rate", "fast"), ("count", "1.5"), ("on", "maybe"), ("hidden", "3,x")]
)
def test_that_typed_text_of_another_kind_is_refused(name: str, typed: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        Sample.field(name).parse(typed)


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool)))
def test_that_a_list_of_names_is_read_as_it_is_shown(items: list[str]) -> None:
    assert Sample.field("chosen").parse(listed_text(items)) == tuple(items)


def test_that_a_field_declared_without_its_words_is_an_error_of_the_program() -> None:
    class Careless(FieldSet):
        """One bare field."""

        bare: float = 1.0

    with pytest.raises(TypeError, match="field 'bare' is declared without"):
        Careless.fields()


def test_that_values_are_shown_short_and_names_are_guessed() -> None:
    assert (shown(True), shown(float("inf")), shown("a\nb")) == ("true", "inf", r"'a\nb'")
    assert len(shown("x" * 500)) == 60
    assert did_you_mean("momentun", ["momentum", "adam"]) == " (did you mean momentum?)"
    assert did_you_mean("zzz", ["momentum"]) == ""
