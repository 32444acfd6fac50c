"""The benchmark of studies, shortened: it starts worker processes on both sides."""

from __future__ import annotations

import pytest

from optlab.benchmarks import study
from optlab.benchmarks.own_loop import Digits

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


def test_that_a_study_and_a_loop_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # The processes of the loop import the module anew, so the number of steps stays.
    monkeypatch.setattr(study.Study, "rates", study.Study.rates[::8])
    row = study.Study().measure(1)
    assert Digits((32,), 32, 1500) == study._CASE
    assert row.difference < 1e-4
    assert row.ratio > 0.0
