"""Pages and finding by name."""

from __future__ import annotations

import pytest

from optlab.catalogue.optimizers.momentum import Momentum
from optlab.core.errors import InvalidInput
from optlab.experiment import pages


def test_that_a_page_gathers_what_the_component_declares() -> None:
    page = pages.page(Momentum)
    assert page.sentence == "Gradient descent with a velocity that accumulates past gradients."
    assert len(page.explanation) == 1
    assert page.rule == Momentum.rule
    assert ("v", "velocity, initially 0") in page.symbols
    assert ("α", "Momentum") in page.symbols
    assert page.fields == Momentum.fields()
    assert page.example.splitlines()[:3] == ["[optimizer]", 'name = "momentum"', "lr = 0.01"]


def test_that_a_name_finds_every_component_that_has_it() -> None:
    assert pages.find("momentum") == [Momentum]
    assert {c.kind for c in pages.find("none")} >= {"clipping", "averaging", "delay"}
    assert [c.kind for c in pages.find("clipping.none")] == ["clipping"]
    assert {c.kind for c in pages.find("constant")} >= {"initializer", "schedule"}
    assert [c.kind for c in pages.find("schedule.constant")] == ["schedule"]


def test_that_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"Nothing in the catalogue is called 'momentun' \(did you mean momentum\?\)",
    ):
        pages.find("momentun")
    with pytest.raises(InvalidInput, match="Nothing in the catalogue is called"):
        pages.find("schedule.momentum")
