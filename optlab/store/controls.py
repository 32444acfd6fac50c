"""Control messages as JSON: a type name from a fixed table, and the message's fields."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from optlab.core.errors import StoreError
from optlab.training.control import (
    SHARED_PATHS,
    Advance,
    Follow,
    Message,
    Pause,
    Resume,
    SetPace,
    SetValue,
    Stop,
    SwitchInstrument,
    TakeSnapshot,
)

_TYPES: dict[str, Callable[..., Message]] = {
    kind.__name__: kind
    for kind in (
        Pause,
        Resume,
        Advance,
        SetPace,
        Stop,
        SetValue,
        TakeSnapshot,
        Follow,
        SwitchInstrument,
    )
}


def to_json(message: Message) -> str:
    """Return a message as a JSON document."""
    return json.dumps({"type": type(message).__name__, **dataclasses.asdict(message)})


def from_json(document: str) -> Message:
    """Return the message of a document, the inverse of :func:`to_json`.

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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"A stored control message is damaged ({str(document)[:80]!r}), so the run cannot be "
            "replayed; "
            "delete it and start it again."
        ) from error


def for_run(message: Message, row: int) -> Message | None:
    """Return a message as it concerns one run, or None where it concerns another.

    Args:
        message: to a population.
        row: of the run in the population.
    """
    if isinstance(message, SetValue):
        return dataclasses.replace(message, run=None) if message.run in (None, row) else None
    return message


def replayable(message: Message) -> bool:
    """Return whether a resumed run has to receive the message again.

    That is so for messages that change numbers or what is recorded, but not for a pause.
    """
    return isinstance(message, SetValue | Follow | SwitchInstrument)


def persistent_messages(log: list[tuple[int, Message]], step: int) -> list[tuple[int, Message]]:
    """Return the messages before ``step`` with a lasting effect that snapshots do not contain.

    These are the followed weights, and the last switch of each instrument.

    Args:
        log: messages, each with the number of completed steps before it.
        step: of the snapshot.
    """
    lasting: dict[str, Message] = {}
    for at, message in log:
        if at < step and isinstance(message, Follow | SwitchInstrument):
            lasting[
                f"instrument {message.name}" if isinstance(message, SwitchInstrument) else "weights"
            ] = message
    return [(step, message) for message in lasting.values()]


def for_population(logs: list[list[tuple[int, Message]]]) -> tuple[tuple[int, Message], ...]:
    """Return the messages to replay for runs that are resumed together.

    Weights are followed, instruments are switched and shared fields are changed in all runs, so the
    log of the first run has these messages for all.

    Args:
        logs: one per run.
    """
    messages: list[tuple[int, Message]] = []
    for row, log in enumerate(logs):
        for step, message in log:
            if isinstance(message, SetValue) and message.path not in SHARED_PATHS:
                messages.append(
                    (step, message if len(logs) == 1 else dataclasses.replace(message, run=row))
                )
            elif row == 0:
                messages.append((step, message))
    return tuple(messages)
