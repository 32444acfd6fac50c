"""A large file is checked for a second only; the interruption ends nothing but the check."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from optlab.store import Store, soundness


def test_that_a_store_opens_when_its_check_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(tmp_path).close()

    def interrupted(connection: sqlite3.Connection, tables: Sequence[str]) -> str:
        rows = connection.execute("PRAGMA main.integrity_check")
        connection.interrupt()
        with contextlib.suppress(sqlite3.OperationalError):
            rows.fetchall()
        rows.close()
        return ""

    monkeypatch.setattr(soundness, "_checked_in_time", interrupted)
    for opened in (Store.open_readonly, Store.open):
        soundness.forget(tmp_path / "optlab.sqlite")
        with opened(tmp_path) as store:
            assert store.runs() == []
