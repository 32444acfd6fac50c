"""Where a session takes its messages from."""

from __future__ import annotations

import math
import threading

from optlab.training.control import Advance, Inbox, Pause, Replay, Resume, SetValue, Stop


def test_that_an_inbox_gives_messages_once_and_in_order() -> None:
    inbox = Inbox()
    assert inbox.receive(0) == []
    for message in (Pause(), Advance(2), Resume()):
        inbox.put(message)
    assert inbox.receive(0) == [Pause(), Advance(2), Resume()]
    assert inbox.receive(0) == []


def test_that_waiting_ends_when_a_message_arrives() -> None:
    inbox = Inbox()
    taken: list[object] = []

    def listen() -> None:
        while not taken:
            inbox.wait(60.0)
            taken.extend(inbox.receive(0))

    thread = threading.Thread(target=listen)
    thread.start()
    inbox.put(Stop())
    thread.join(30.0)
    assert not thread.is_alive()
    assert taken == [Stop()]


def test_that_a_full_inbox_drops_the_oldest_messages() -> None:
    inbox = Inbox()
    for value in range(2000):
        inbox.put(SetValue("optimizer.lr", float(value)))
    found = inbox.receive(0)
    assert len(found) == 1024
    assert found[-1] == SetValue("optimizer.lr", 1999.0)


def test_that_a_replay_gives_each_message_at_its_step_and_live_ones_after() -> None:
    inbox = Inbox()
    inbox.put(Pause())
    replay = Replay([(7, Stop()), (3, Advance(1)), (3, Resume())], inbox)
    assert replay.receive(2) == [Pause()]
    assert replay.receive(3) == [Advance(1), Resume()]
    assert replay.receive(6) == []
    assert replay.receive(9) == [Stop()]


def test_that_a_replay_without_live_messages_does_not_wait() -> None:
    Replay([]).wait(3600.0)


def test_that_it_is_known_until_when_no_message_comes() -> None:
    inbox = Inbox()
    replay = Replay([(7, Stop()), (3, Advance(1))], inbox)
    assert (inbox.quiet_until(2), replay.quiet_until(2)) == (math.inf, 3)
    replay.receive(3)
    assert replay.quiet_until(4) == 7
    assert Replay([]).quiet_until(4) == math.inf
    inbox.put(Pause())
    assert (inbox.quiet_until(4), replay.quiet_until(4)) == (4, 4)
