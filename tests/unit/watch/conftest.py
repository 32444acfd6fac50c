"""Small training loops that are watched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import optlab
from optlab.outside.foreign_runs.watched import open_run

Start = Callable[..., Any]


class Recorded:
    """What a run has recorded, read back."""

    def __init__(self, folder: Path) -> None:
        self.run = open_run(folder)
        self.run.read()

    def __getitem__(self, name: str) -> dict[int, Any]:
        """Step → value, or column → value."""
        found: dict[int, Any] = {}
        for part in self.run.series[name]:
            for step, row in zip(part.steps.tolist(), part.values.tolist(), strict=True):
                found[step] = dict(zip(part.columns, row, strict=True)) if part.columns else row[0]
        return found

    def events(self, kind: str) -> list[Any]:
        return [event for event in self.run.events if event["kind"] == kind]


@pytest.fixture
def recorded() -> Callable[[Any], Recorded]:
    return lambda watcher: Recorded(watcher.folder)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mlp(*, seed: int = 0, norm: bool = False, drop: float = 0.0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    parts: list[torch.nn.Module] = [torch.nn.Linear(6, 16)]
    if norm:
        parts.append(torch.nn.BatchNorm1d(16))
    parts += [torch.nn.Tanh(), torch.nn.Dropout(drop) if drop else torch.nn.Identity()]
    parts.append(torch.nn.Linear(16, 3))
    return torch.nn.Sequential(*parts)


def batch(seed: int = 1, rows: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=generator)
    return x, torch.randint(0, 3, (rows,), generator=generator)


def state(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    watchers = []

    def begin(*arguments: Any, **options: Any) -> Any:
        options = {"folder": tmp_path / "runs", "every": 1, **options}
        watchers.append(optlab.watch(*arguments, **options))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher.detach()
