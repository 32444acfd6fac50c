"""A study is the same study when components have got fields since it was stored."""

from __future__ import annotations

import re

import pytest

from optlab.studies.comparison import reading
from optlab.studies.comparison.protocols import same_protocol


@pytest.fixture
def document() -> str:
    return reading.named("nesterov-vs-momentum", check=False).to_toml()


def test_that_a_field_that_is_not_there_has_its_default_value(document: str) -> None:
    older, count = re.subn(r"(?m)^(dropout|weight_decay|standardize) = .*\n", "", document)
    assert count, "the document has fields with default values"
    assert older != document and same_protocol(document, older) and same_protocol(older, document)


@pytest.mark.parametrize("later", ["alone = false\n", "compiled = false\n"])
def test_that_a_later_field_of_a_section_does_not_make_another_study(
    document: str, later: str
) -> None:
    assert later in document
    assert same_protocol(document, document.replace(later, ""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("alone = false", "alone = true"),
        ("compiled = false", "compiled = true"),
        ("momentum = 0.9", "momentum = 0.8"),
        ("count = 16", "count = 8"),
        ("standardize = true", "standardize = false"),
    ],
)
def test_that_another_value_is_another_protocol(document: str, old: str, new: str) -> None:
    assert old in document
    assert not same_protocol(document, document.replace(old, new, 1))
