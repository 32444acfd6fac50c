"""Which runs a folder holds, of whatever program: the folders in it are searched, too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.outside.foreign_runs import trainer_state
from optlab.outside.foreign_runs.databases import is_database
from optlab.outside.foreign_runs.metric_tables import LINES, TABLES, LinesSource, TableSource
from optlab.outside.foreign_runs.mlflow_runs import MlflowDatabaseSource, MlflowFolderSource
from optlab.outside.foreign_runs.records import RunSource
from optlab.outside.foreign_runs.tensorboard_events import MARK, TensorBoardSource
from optlab.outside.foreign_runs.trackio_runs import TrackioSource
from optlab.outside.foreign_runs.trainer_state import TrainerStateSource
from optlab.outside.foreign_runs.wandb_offline import ENDING, WandbSource
from optlab.outside.foreign_runs.watched import WatchedSource, is_watched_run

MAX_FOLDERS = 20_000
"""Folders that are searched."""
MAX_DEPTH = 12
DATABASES = (".db", ".sqlite", ".sqlite3")
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", "artifacts"}
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass
class FoundRuns:
    """What a folder holds.

    Attributes:
        sources: of its runs, in the order of their paths. problems: what cannot be read, sentences.
    """

    sources: list[RunSource] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find(folder: Path) -> FoundRuns:
    """Return the runs in a folder and in the folders in it; a run's own folder is one.

    Raises:
        InvalidInput: the folder cannot be listed.
    """
    found = FoundRuns()
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be read: {error.strerror}; give a folder with runs in it.", "folder"
        ) from error
    for number, (path, folders, files) in enumerate(_walk(folder)):
        if number >= MAX_FOLDERS:
            found.problems.append(
                f"{folder} has more than {MAX_FOLDERS:,} folders; the rest is not searched. "
                "Give the folder of the runs themselves."
            )
            break
        found.sources += _runs(folder, path, folders, files, found.problems)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    depth = len(folder.parts)
    for name, folders, files in os.walk(folder):
        path = Path(name)
        folders[:] = sorted(
            each for each in folders if each not in _PASSED_OVER and not each.startswith(".")
        )
        yield path, folders, sorted(files)
        if len(path.parts) - depth >= MAX_DEPTH:
            folders.clear()


def _runs(
    root: Path, path: Path, folders: list[str], files: list[str], problems: list[str]
) -> Iterator[RunSource]:
    """Yield the runs that lie in a folder itself; take folders out that belong to one of them."""
    name = _id(root, path)
    if is_watched_run(path):
        folders.clear()
        yield WatchedSource(path, name)
        return
    if MlflowFolderSource.is_run(path):
        folders.clear()
        yield MlflowFolderSource(name, path)
        return
    if any(MARK in file for file in files):
        yield TensorBoardSource(name, path)
    if trainer_state.NAME in files:
        yield TrainerStateSource(name, path / trainer_state.NAME)
    _keep_last_checkpoint(folders, whole=trainer_state.NAME in files)
    for file in files:
        try:
            yield from _runs_of_file(_id(root, path / file), path / file)
        except InvalidInput as error:
            problems.append(str(error))


def _runs_of_file(name: str, path: Path) -> Iterator[RunSource]:
    """Yield the runs of a file.

    Raises:
        InvalidInput: it cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ENDING:
        yield WandbSource(name, path)
    elif ending in TABLES and TableSource.is_run(path):
        yield TableSource(name, path)
    elif ending in LINES and LinesSource.is_run(path):
        yield LinesSource(name, path)
    elif ending in DATABASES and is_database(path):
        yield from MlflowDatabaseSource.found(name, path)
        yield from TrackioSource.found(name, path)


def _keep_last_checkpoint(folders: list[str], *, whole: bool) -> None:
    """Leave out checkpoints: each has the history of the run up to it.

    Args:
        whole: whether the folder has a history of its own.
    """
    steps = {name: int(match[1]) for name in folders if (match := _CHECKPOINT.fullmatch(name))}
    last = None if whole or not steps else max(steps, key=lambda name: steps[name])
    folders[:] = [name for name in folders if name not in steps or name == last]


def _id(root: Path, path: Path) -> str:
    return root.name if path == root else path.relative_to(root).as_posix()
