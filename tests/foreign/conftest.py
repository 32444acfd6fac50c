"""Threads of other libraries are theirs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that watches tqdm's bars, which torch's compiler shows, never ends."""
    import tqdm

    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
