"""Thread or process: by measurement, once a process."""

from __future__ import annotations

import threading

import pytest

from optlab.runners import choice


@pytest.fixture(autouse=True)
def _fresh():
    choice._measured.cache_clear()
    yield
    choice._measured.cache_clear()


@pytest.mark.parametrize("asked", ["thread", "process"])
def test_that_what_is_asked_for_is_taken_without_measuring(monkeypatch, asked):
    monkeypatch.setattr(choice, "_measure", lambda share: pytest.fail("measured"))
    assert choice.choose(asked, 1.0) == asked


def test_that_a_thread_is_taken_where_nothing_draws(monkeypatch):
    monkeypatch.setattr(choice, "_measure", lambda share: pytest.fail("measured"))
    assert choice.choose("auto", 0.0) == "thread"


@pytest.mark.parametrize(
    ("kept", "expected"), [(0.95, "thread"), (0.9, "thread"), (0.89, "process"), (0.2, "process")]
)
def test_that_the_measured_speed_decides_and_is_measured_once(monkeypatch, kept, expected):
    calls = []
    monkeypatch.setattr(choice, "_measure", lambda share: calls.append(share) or kept)
    assert choice.choose("auto", 0.5) == choice.choose("auto", 0.5) == expected
    assert calls == [0.5]


def test_that_a_measurement_in_the_background_is_used(monkeypatch):
    threads = []

    def measure(share: float) -> float:
        threads.append(threading.current_thread())
        return 0.95

    monkeypatch.setattr(choice, "_measure", measure)
    thread = choice.measure_in_background(0.52)
    thread.join()
    assert choice.choose("auto", 0.5) == "thread" and threads == [thread]


def test_that_the_measure_is_a_share():
    assert 0.0 <= choice.kept_speed(0.5) <= 1.0
