"""Control messages as JSON: a type name from a fixed table, and the message's fields."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from optlab.core.errors import StoreError
from optlab.training.control import (
    Advance,
    Follow,
    Message,
    Pause,
    Resume,
    SetValue,
    Stop,
    SwitchInstrument,
    TakeSnapshot,
)

_TYPES: dict[str, Callable[..., Message]] = {
    kind.__name__: kind
    for kind in (Pause, Resume, Advance, Stop, SetValue, TakeSnapshot, Follow, SwitchInstrument)
}


def to_json(message: Message) -> str:
    """The message as a JSON document."""
    return json.dumps({"type": type(message).__name__, **dataclasses.asdict(message)})


def from_json(document: str) -> Message:
    """The message of a document, the inverse of :func:`to_json`.

    Raises:
        StoreError: it is not a message.
    """
    try:
        values: dict[str, Any] = json.loads(document)
        kind = _TYPES[values.pop("type")]
        return kind(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in values.items()
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"A stored control message is damaged ({document[:80]!r}); the run cannot be replayed from it."
        ) from error


def for_run(message: Message, place: int) -> Message | None:
    """The message as it concerns the run in this row of its population; None where it concerns
    another.
    """
    if isinstance(message, SetValue):
        return dataclasses.replace(message, run=None) if message.run in (None, place) else None
    return message


def replayable(message: Message) -> bool:
    """Whether a run that goes on has to be told again: what changes the numbers or what is recorded
    is, a pause of then is none of now.
    """
    return isinstance(message, SetValue | Follow | SwitchInstrument)


def persistent_messages(log: list[tuple[int, Message]], step: int) -> list[tuple[int, Message]]:
    """Of the messages before ``step``, those whose effect is no part of a snapshot and lasts: what
    is followed, and how each instrument was switched last.
    """
    lasting: dict[str, Message] = {}
    for at, message in log:
        if at < step and isinstance(message, Follow | SwitchInstrument):
            lasting[
                f"instrument {message.name}" if isinstance(message, SwitchInstrument) else "weights"
            ] = message
    return [(step, message) for message in lasting.values()]


def for_population(logs: list[list[tuple[int, Message]]]) -> tuple[tuple[int, Message], ...]:
    """What has to be replayed of the logs of runs that go on together, one log a run.

    Weights are followed in all runs alike, and instruments are switched in all, so the first run
    speaks for all.
    """
    found: list[tuple[int, Message]] = []
    for place, log in enumerate(logs):
        for step, message in log:
            if isinstance(message, SetValue):
                found.append(
                    (step, message if len(logs) == 1 else dataclasses.replace(message, run=place))
                )
            elif place == 0:
                found.append((step, message))
    return tuple(found)
