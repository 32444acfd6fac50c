"""Stopping rules."""

from __future__ import annotations

from optlab.stopping.never import Never
from optlab.stopping.target import Target


def test_that_never_never_stops() -> None:
    assert Never().verdict({}, 10**9, {"validation_error": 0.0}) == ({}, None)


def test_that_a_target_stops_at_the_first_error_that_meets_it() -> None:
    rule = Target(error=0.05)
    assert rule.verdict({}, 1, {"validation_error": 0.0501})[1] is None
    assert rule.verdict({}, 2, {"validation_error": 0.05})[1] == "validation error 0.0500 is at most 0.05"


def test_that_a_target_without_a_validation_part_goes_on() -> None:
    assert Target(error=1.0).verdict({}, 1, {"train_error": 0.0})[1] is None
