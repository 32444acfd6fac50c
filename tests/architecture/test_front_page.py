"""The page that ``help(optlab)`` shows."""

from __future__ import annotations

import doctest

import optlab


def test_that_the_examples_of_the_front_page_run() -> None:
    results = doctest.testmod(optlab)
    assert results.attempted >= 15
    assert results.failed == 0
