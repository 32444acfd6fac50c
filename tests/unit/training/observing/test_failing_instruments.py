"""Instruments that fail: each says why and switches itself off, and the training goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from optlab.catalogue.instruments.base import Instrument, Reading
from optlab.catalogue.instruments.conditioning import Conditioning
from optlab.catalogue.instruments.distance import Distance
from optlab.catalogue.instruments.spectral_density import SpectralDensity
from optlab.catalogue.instruments.update_ratio import UpdateRatio
from optlab.core.errors import RunFailed
from optlab.experiment import Experiment
from optlab.runners import train
from optlab.store import Store
from optlab.training.control import Inbox, Replay, SetValue, SwitchInstrument
from optlab.training.events import (
    Event,
    MessageApplied,
    RunEnded,
    SeriesBlock,
    SessionFailed,
)
from optlab.training.session import session

Build = Callable[..., Experiment]
EVERY = {"conditioning": {"every": 4}, "update_ratio": {"every": 4}}


def raise_at(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Instrument],
    method: str,
    number: int,
    error: BaseException,
) -> None:
    """Let a method of an instrument raise from its n-th call on."""
    original = getattr(kind, method)
    calls = iter(range(1, 1 << 30))

    def failing(*arguments: Any) -> Any:
        if next(calls) >= number:
            # As an instrument with random numbers that fails half way.
            torch.rand(3)
            raise error
        return original(*arguments)

    monkeypatch.setattr(kind, method, failing)


def ends(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.status, event.theta_sha256) for event in events if isinstance(event, RunEnded)]


def switches(events: list[Event]) -> list[tuple[int, str, str]]:
    return [
        (event.step, event.message.name, event.message.reason)
        for event in events
        if isinstance(event, MessageApplied) and isinstance(event.message, SwitchInstrument)
    ]


def steps_of(events: list[Event], series: str) -> list[int]:
    return [
        int(step)
        for event in events
        if isinstance(event, SeriesBlock) and series in event.series
        for step in event.series[series].steps
    ]


ERRORS = {
    "a defect": (ValueError("no\nnumbers"), "its reading failed with ValueError: no numbers"),
    "without a message": (KeyError(), "its reading failed with KeyError"),
    "in words": (RunFailed("The matrix is singular."), "The matrix is singular"),
    "memory": (MemoryError(), "there is not enough memory for a reading (MemoryError)"),
    "memory of a device": (
        torch.OutOfMemoryError("CUDA out of memory."),
        "there is not enough memory for a reading (CUDA out of memory)",
    ),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("runs", [1, 3])
def test_that_an_instrument_that_raises_at_its_third_reading_switches_itself_off_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch, error: str, runs: int
) -> None:
    def trained(**changes: Any) -> list[Event]:
        return list(session([build(seed=seed, **changes) for seed in range(runs)], Inbox()))

    plain = trained()
    raised, words = ERRORS[error]
    raise_at(monkeypatch, Conditioning, "read", 3, raised)
    events = trained(instruments=EVERY)
    assert ends(events) == ends(plain) and len(ends(plain)) == runs
    assert switches(events) == [
        (
            12,
            "conditioning",
            f"The instrument “Conditioning” switched itself off: {words}. The training is not "
            "affected.",
        )
    ]
    assert steps_of(events, "conditioning.gg") == [4, 8]
    assert steps_of(events, "update_ratio.ratio") == list(range(4, 61, 4))
    assert not any(isinstance(event, SessionFailed) for event in events)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (Distance, "begin"),
        (Distance, "watch"),
        (Distance, "read"),
        (Distance, "remembered"),
    ],
)
def test_that_every_part_of_an_instrument_may_fail(
    build: Build, monkeypatch: pytest.MonkeyPatch, kind: type[Instrument], method: str
) -> None:
    plain = list(session([build()], Inbox()))
    raise_at(monkeypatch, kind, method, 1, RuntimeError("broken"))
    events = list(session([build(instruments={kind.name: {"every": 3}})], Inbox()))
    assert ends(events) == ends(plain)
    ((_, name, reason),) = switches(events)
    assert name == kind.name and "RuntimeError: broken" in reason


def test_that_a_picture_that_cannot_be_drawn_switches_its_instrument_off(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ends(list(session([build()], Inbox())))
    original = SpectralDensity.read

    def read(self: SpectralDensity, *arguments: Any) -> Reading:
        def draw() -> dict[str, torch.Tensor]:
            raise RuntimeError("no picture")

        return Reading(original(self, *arguments).series, draw)

    monkeypatch.setattr(SpectralDensity, "read", read)
    events = list(session([build(instruments={"spectral_density": {"every": 20}})], Inbox()))
    assert ends(events) == plain
    assert "no picture" in switches(events)[0][2]


def test_that_readings_that_are_never_finite_switch_an_instrument_off(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: UpdateRatio, context: Any, memory: dict[str, Any]) -> Reading:
        return Reading({"ratio": torch.full((len(context.theta),), float("nan"))})

    monkeypatch.setattr(UpdateRatio, "read", read)
    plain = ends(list(session([build()], Inbox())))
    events = list(session([build(instruments=EVERY)], Inbox()))
    assert ends(events) == plain
    ((_, name, reason),) = switches(events)
    assert name == "update_ratio" and "readings are not finite" in reason
    assert steps_of(events, "conditioning.gg") == list(range(4, 61, 4))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_at(monkeypatch, Conditioning, "read", 3, RuntimeError("broken"))


def test_that_the_reason_is_stored_beside_what_was_read(
    build: Build, broken: None, tmp_path: Path
) -> None:
    stop = build(instruments=EVERY, budget={"steps": 40})
    with Store.open(tmp_path) as store:
        job = train([stop], store=store, runner="thread")
        assert job.join(60)
        (run,) = job.run_ids
        ((step, message),) = [
            entry for entry in store.controls(run) if isinstance(entry[1], SwitchInstrument)
        ]
        assert (step, message.name, message.values) == (12, "conditioning", None)
        assert message.reason.startswith("The instrument “Conditioning” switched itself off: its")
        assert store.run(run).status == "finished"
        assert store.series(run)["conditioning.gg"].steps.tolist() == [4, 8]


def test_that_a_replay_reports_a_failure_once(build: Build, broken: None) -> None:
    reason = "The instrument “Conditioning” switched itself off: before."
    log = [
        (12, SwitchInstrument("conditioning", None, reason)),
        (20, SetValue("optimizer.lr", 0.1)),
    ]
    events = list(session([build(instruments=EVERY)], Replay(log)))
    assert [name for _, name, _ in switches(events)] == ["conditioning"]
    assert [event.step for event in events if isinstance(event, MessageApplied)] == [12, 20]
