"""The session: what was where when the window was closed, restored when it opens again.

Each part of the window that has something to remember is a *participant*: it returns its state and
takes it back. A participant is restored when it registers, so nothing is restored before it is
built, and the first paint waits for none but the geometry of the window.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from optlab.core.errors import OptLabError
from optlab.gui.manners import settings_file
from optlab.gui.manners.preferences import Preferences

FILE = "session.json"
FORMAT = 1
_LOG = logging.getLogger(__name__)


@runtime_checkable
class Participant(Protocol):
    """A part of the window that has something to remember."""

    def state(self) -> Any:
        """Return what to remember, in terms of JSON."""
        ...

    def restore(self, state: Any) -> None:
        """Take back what :meth:`state` returned in another session.

        Raises:
            OptLabError, KeyError, TypeError, ValueError: the state is damaged.
        """
        ...


class Session:
    """Preferences, and the states of the participants.

    Args:
        stored: whether they are kept in the data folder. A window of which no session is kept
            begins like the first one and leaves nothing.

    Attributes:
        preferences: in force.
        problems: what was ignored, a sentence each.
        first: whether there was no session before.
    """

    def __init__(self, *, stored: bool) -> None:
        self.stored = stored
        self.preferences = Preferences()
        self.problems: list[str] = []
        self._states: Mapping[str, Any] = {}
        self._participants: dict[str, Participant] = {}
        self.first = False
        if stored:
            self._read()

    def _read(self) -> None:
        self.preferences, problem = Preferences.read()
        content, damage = settings_file.read(FILE)
        self.problems = [sentence for sentence in (problem, damage) if sentence]
        self.first = not content and not damage
        states = content.get("states", {})
        if content and (content.get("format") != FORMAT or not isinstance(states, dict)):
            self.problems.append("The last session was ignored: another version has written it.")
            return
        self._states = states

    def register(self, name: str, participant: Participant) -> None:
        """Restore a participant now, and ask it for its state when the window closes."""
        self._participants[name] = participant
        if name not in self._states:
            return
        try:
            participant.restore(self._states[name])
        except (OptLabError, AttributeError, KeyError, TypeError, ValueError) as error:
            _LOG.info("the session's %s was ignored: %s: %s", name, type(error).__name__, error)
            self.problems.append(f"Of the last session, the {name} cannot be restored.")

    def remembered(self, name: str) -> Any:
        """Return the state of a participant in the session before; None where there is none."""
        return self._states.get(name)

    def save(self) -> None:
        """Write the states of all participants; what cannot be written is logged."""
        if not self.stored:
            return
        # A window that closes before its panels are built keeps what it has not restored.
        states = {**self._states, **{n: p.state() for n, p in self._participants.items()}}
        problem = settings_file.write(FILE, {"format": FORMAT, "states": states})
        if problem:
            _LOG.error("the session was not kept: %s", problem)

    def prefer(self, preferences: Preferences) -> str:
        """Put other preferences in force, keep them, and return why that failed, or ""."""
        self.preferences = preferences
        return preferences.write() if self.stored else ""
